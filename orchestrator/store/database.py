"""Open, create and migrate a run's state file, and give transactions that are durable when they return."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from orchestrator.errors import FencedError, InfrastructureError, StoreBusyError, StoreError
from orchestrator.files import TEMPORARY, move_into_place, refuse_of_others
from orchestrator.store import legacy
from orchestrator.store.leases import undriven

FILE_NAME = "state.sqlite"
APPLICATION_ID = 0x4D535431  # "MST1"
BUSY_TIMEOUT_MS = 30_000

_MEMORY = Path(":memory:")
_MAGIC = b"SQLite format 3\x00"
_HEADER_SIZE = 100
# A log that is soon used again is cheaper to sync than one that grows: its blocks are on the disk already.
_LOCAL_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=300")
_NETWORK_PRAGMAS = ("journal_mode=DELETE", "synchronous=EXTRA")
_PRAGMAS = ("foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "fullfsync=ON")
_BLANK = "\\040"  # how the kernel writes a blank in the path of a mount
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "afs", "ceph", "beegfs"})
# Our statements are right, so that one which SQLite does not accept shows a file whose schema is not ours.
_DAMAGES = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.FormatError, UnicodeDecodeError)

Row = tuple[Any, ...]


class Database:
    """One run's state file, open in this process.

    `transaction` nests: what is written inside is durable when the outermost block ends, or undone as a whole. With
    a ``fence`` set, a transaction that finds a later fence in the file raises `FencedError` and writes nothing. One
    that another program keeps from writing for thirty seconds raises `StoreBusyError`.
    """

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self.run_root = path.parent
        self.fence: int | None = None
        self.last_event: tuple[int, str] | None = None
        self._connection = connection
        self._depth = 0
        self._lock = threading.RLock()

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except (apsw.Error, UnicodeDecodeError) as error:
                raise _ours(self.path, error) from error

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """Run one statement and return its first row, or None."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchone()
            except (apsw.Error, UnicodeDecodeError) as error:
                raise _ours(self.path, error) from error

    def write(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run statements that change rows, to the last; only inside `transaction`."""
        try:
            self._connection.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise _ours(self.path, error) from error

    def write_many(self, sql: str, rows: Iterator[Sequence[Any]]) -> None:
        """Run one statement for each row of values; only inside `transaction`."""
        try:
            self._connection.executemany(sql, rows)
        except apsw.Error as error:
            raise _ours(self.path, error) from error

    def define(self, name: str, function: Callable[..., str | None]) -> None:
        """Let statements call a function by a name; the same arguments must always give the same value."""
        self._connection.create_scalar_function(name, function, deterministic=True)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside one fact: durable at the end of the outermost block, or never made."""
        with self._lock:
            if self._depth:
                yield
                return
            self.write("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                self._check_fence()
                yield
                self.write("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._depth = 0

    @contextlib.contextmanager
    def one_state(self) -> Iterator[None]:
        """Let all reads of the block see the file as it is at the first of them, whatever a runner writes meanwhile."""
        with self._lock:
            self.write("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def close(self) -> None:
        """Close the file; it cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def _check_fence(self) -> None:
        if self.fence is None:
            self.last_event = None
            return
        row = self.one("SELECT fence, (SELECT max(seq) FROM events) FROM leases WHERE name = 'runner'")
        if row is None or row[0] != self.fence:
            raise FencedError(
                f"another runner took over {self.run_root.name}; this one stops without writing",
                hint="nothing is lost: the other runner goes on",
            )
        if self.last_event and self.last_event[0] != row[1]:
            self.last_event = None

    def _roll_back(self) -> None:
        self.last_event = None
        with contextlib.suppress(apsw.Error):  # the error that led here is the one to report
            if not self._connection.get_autocommit():
                self._connection.execute("ROLLBACK")


def create_database(path: Path) -> Database:
    """Make a state file with the current schema; raise `StoreError` where ``path`` exists."""
    if path.exists():
        raise StoreError(f"there is a state file already: {path}", hint="open it, or give another path")
    connection = _connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    database = Database(path, connection)
    database.write(f"PRAGMA application_id = {APPLICATION_ID}")  # before there is a log, so that the header has it
    _set_journal(path, connection)
    migrate(database, from_version=0)
    return database


def open_database(path: Path, *, readonly: bool = False) -> Database:
    """Open an existing state file after checking that it is whole and of a version we know.

    One of MatterStack 0.2.x is made ours, unless it is opened ``readonly``: then it is read as if it were, and stays as
    it is. Raises `StoreError` and leaves the file byte for byte as it was when it is missing, empty, damaged, or newer;
    `RunLockedError` where another runner drives a run that is to be made ours; `InfrastructureError` where it is to be
    written and somebody else could have put it there.
    """
    if not readonly and path.parent.exists():
        refuse_of_others(path.parent)
    if _is_legacy(path):
        if readonly:
            return _view_of_legacy(path)
        _make_ours(path)
    connection = _connect(path, apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE)
    database = Database(path, connection)
    try:
        version = _checked_version(database)
        if not readonly:
            _check_integrity(database)
            _set_journal(path, connection)
            _bring_up_to_date(database, version)
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def reading(run_root: Path) -> Iterator[Database]:
    """Open the state file of a run to read it in the block; errors as in `open_database`."""
    database = open_database(run_root / FILE_NAME, readonly=True)
    try:
        yield database
    finally:
        database.close()


def update_legacy(run_root: Path) -> None:
    """Make the state file of a run ours that MatterStack 0.2.x made, where there is room and nobody drives it.

    Where not, it stays as it is, and with any other file nothing is done. Raises `StoreError` as `open_database` does.
    """
    path = run_root / FILE_NAME
    if os.access(path, os.W_OK) and os.access(run_root, os.W_OK) and not _is_ours(path):
        try:
            open_database(path).close()
        except StoreError:
            raise
        except InfrastructureError:  # a runner, or a disk that is full: it can be read all the same
            return


def migrate(database: Database, *, from_version: int, to_version: int = sys.maxsize) -> None:
    """Bring a file from ``from_version`` (0 for an empty one) to another schema, one transaction a version."""
    for version, sql in _migrations():
        if from_version < version <= to_version:
            with database.transaction():
                database.write(sql)
                database.write("REPLACE INTO schema_info (key, value) VALUES ('version', ?)", (str(version),))
                database.write(f"PRAGMA user_version = {version}")


def back_up(database: Database, version: int) -> None:
    """Copy the file beside itself as ``state.sqlite.v<version>.bak``, whole or not at all; one that exists is kept."""
    target = database.path.with_name(f"{FILE_NAME}.v{version}.bak")
    if not target.exists():
        temporary = target.with_name(f"{TEMPORARY}{target.name}")
        temporary.unlink(missing_ok=True)
        database.write("VACUUM INTO ?", (str(temporary),))
        move_into_place(temporary, target)


def schema_version() -> int:
    """Give the newest schema version this program knows."""
    return _migrations()[-1][0]


@functools.cache
def _migrations() -> tuple[tuple[int, str], ...]:
    """List the migrations in order as (version, SQL)."""
    files = sorted((Path(__file__).parent / "migrations").glob("*.sql"))
    return tuple((int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files)


def _connect(path: Path, flags: int) -> apsw.Connection:
    """Open the file without changing it; not even its write-ahead log is merged before the content is checked."""
    try:
        if flags & apsw.SQLITE_OPEN_READONLY and _is_fixed(path):
            name = f"file:{quote(str(path))}?immutable=1"
            connection = apsw.Connection(name, flags=flags | apsw.SQLITE_OPEN_URI)
        else:
            connection = apsw.Connection(str(path), flags=flags)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.setbusytimeout(BUSY_TIMEOUT_MS)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except apsw.Error as error:
        raise _ours(path, error) from error
    return connection


def _is_fixed(path: Path) -> bool:
    """Tell whether nobody can change a file, as on a read-only disk: SQLite then needs no index beside it."""
    log = path.with_name(f"{path.name}-wal")
    is_whole = not log.exists() or not log.stat().st_size
    return is_whole and bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)


def _undo_interrupted(path: Path) -> None:
    """Let SQLite undo what a writer without a log had half written when it died; who only reads must not do that."""
    if not path.with_name(f"{path.name}-journal").exists():
        return
    database = Database(path, _connect(path, apsw.SQLITE_OPEN_READWRITE))
    try:
        database.one("SELECT count(*) FROM sqlite_schema")
    finally:
        database.close()


def _is_ours(path: Path) -> bool:
    """Tell whether a file bears our mark, which may be a half-written one that must be undone first."""
    _check_header(path)
    _undo_interrupted(path)
    return _check_header(path)


def _is_legacy(path: Path) -> bool:
    """Tell whether a file is one of MatterStack 0.2.x; errors as in `open_database` where it is not ours either."""
    if _is_ours(path):
        return False
    database = Database(path, _connect(path, apsw.SQLITE_OPEN_READONLY))
    try:
        with database.one_state():  # another process may be making it ours
            version = legacy.legacy_version(database)
    except StoreError as error:
        if isinstance(error.__cause__, apsw.NotADBError):
            raise _foreign(path) from error
        raise
    finally:
        database.close()
    if version is None and not _is_ours(path):  # which another process may have made it meanwhile
        raise _foreign(path)
    return version is not None


def _make_ours(path: Path) -> None:
    """Make a file of MatterStack 0.2.x ours, after a copy of it was kept, while no runner drives its run."""
    with undriven(path.parent):
        if _is_ours(path):  # another process was quicker
            return
        sha256 = _sha256_of(path)  # before it is open: to close it would let go of the locks of the connection
        database = Database(path, _connect(path, apsw.SQLITE_OPEN_READWRITE))
        try:
            _check_integrity(database)
            for pragma in _NETWORK_PRAGMAS:  # with a log, what a crash leaves would be none of the earlier program's
                database.one(f"PRAGMA {pragma}")
            back_up(database, legacy.original_version(database))
            _raise_legacy(database, sha256)
        finally:
            database.close()


def _raise_legacy(database: Database, sha256: str) -> None:
    """Take a file of MatterStack 0.2.x to the first version that is ours.

    Each version is one transaction, so that a crash leaves a whole file of one of the versions.
    """
    legacy.define_functions(database)
    version = legacy.original_version(database)
    for following in range((legacy.legacy_version(database) or version) + 1, legacy.LAST + 1):
        with database.transaction():
            legacy.note_origin(database, version, sha256)
            legacy.add_version(database, following)
    with database.transaction():
        legacy.note_origin(database, version, sha256)
        legacy.set_aside(database)
        migrate(database, from_version=0, to_version=legacy.BASE)
        database.write(f"PRAGMA application_id = {APPLICATION_ID}")
        legacy.take_over(database)


def _view_of_legacy(path: Path) -> Database:
    """Give a copy in memory of a file of MatterStack 0.2.x, made ours, to read from."""
    sha256 = _sha256_of(path)
    source, copy = _connect(path, apsw.SQLITE_OPEN_READONLY), _connect(_MEMORY, apsw.SQLITE_OPEN_READWRITE)
    try:
        with copy.backup("main", source, "main") as pages:
            pages.step()
        database = Database(path, copy)
        if legacy.legacy_version(database) is None:  # another process made it ours meanwhile
            database.close()
            return open_database(path, readonly=True)
        _raise_legacy(database, sha256)
        migrate(database, from_version=legacy.BASE)
        database.one("PRAGMA query_only = ON")
    except BaseException:
        copy.close()
        raise
    finally:
        source.close()
    return database


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_journal(path: Path, connection: apsw.Connection) -> None:
    """Choose how writes become durable, for a file that was found to be whole."""
    journal = _NETWORK_PRAGMAS if is_network_path(path) else _LOCAL_PRAGMAS
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        for pragma in journal:
            connection.execute(f"PRAGMA {pragma}")
    except apsw.Error as error:
        raise _ours(path, error) from error


def _bring_up_to_date(database: Database, version: int) -> None:
    if version < schema_version():
        back_up(database, version)
        migrate(database, from_version=version)


def _check_header(path: Path) -> bool:
    """Look at the file's header without opening it as a database, which could already change it.

    Tell whether it bears our mark; one of MatterStack 0.2.x bears none at all.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_SIZE)
    except FileNotFoundError as error:
        raise StoreError(f"no state file at {path}", hint="check the run id with 'matterstack runs'") from error
    except OSError as error:
        raise StoreError(f"cannot read the state file {path}: {error.strerror}", hint="check permissions") from error
    if not header:
        raise StoreError(f"the state file is empty: {path}", hint="restore the run directory from a backup")
    if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
        raise StoreError(f"not a state file, its header is damaged: {path}", hint="restore it from a backup")
    version, application = struct.unpack_from(">i", header, 60)[0], struct.unpack_from(">i", header, 68)[0]
    if application != APPLICATION_ID and (application or version):
        raise _foreign(path)
    _check_version(path, version)
    return bool(application)


def _foreign(path: Path) -> StoreError:
    return StoreError(f"not a state file of this program: {path}", hint="it lacks our application id")


def _checked_version(database: Database) -> int:
    """Give the schema version with what the write-ahead log says of it, which may be later than the header."""
    row = database.one("PRAGMA user_version")
    version: int = row[0] if row else 0
    _check_version(database.path, version)
    return version


def _check_version(path: Path, version: int) -> None:
    if version > schema_version():
        raise StoreError(
            f"{path} has schema {version}; this program knows up to {schema_version()}",
            hint="use a newer matterstack; the file was not touched",
            code="MS502",
        )


def _check_integrity(database: Database) -> None:
    (fault,) = database.all("PRAGMA integrity_check(1)")[0]
    if fault == "ok":
        fault = _cut_off(database)
    if fault:
        raise StoreError(
            f"the state file is damaged: {database.path}: {fault}", hint="restore the run directory from a backup"
        )


def _cut_off(database: Database) -> str:
    """Say how much of the file's end is missing, which SQLite takes for zeros within the last page."""
    log = database.path.with_name(f"{database.path.name}-wal")
    if log.exists() and log.stat().st_size:
        return ""  # the log may hold pages that the file does not have yet
    (pages,), (page_size,) = database.all("PRAGMA page_count")[0], database.all("PRAGMA page_size")[0]
    missing = pages * page_size - database.path.stat().st_size
    return f"its last {missing} bytes are missing" if missing > 0 else ""


def is_network_path(path: Path) -> bool:
    """Tell whether a path lies on a file system that is shared over a network, as far as the system says."""
    mounts = Path("/proc/self/mounts")
    if sys.platform != "linux" or not mounts.exists():
        return False
    folder = str(path.resolve().parent)
    lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.split()[1:3] for line in lines]
    points = [(point.replace(_BLANK, " "), kind) for point, kind in found]
    above = [(len(point), kind) for point, kind in points if f"{folder}/".startswith(f"{point.rstrip('/')}/")]
    kind = max(above, default=(0, ""))[1]
    return kind in _NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")


def _ours(path: Path, error: apsw.Error | UnicodeDecodeError) -> InfrastructureError:
    """Turn SQLite's error into ours, naming the file."""
    if isinstance(error, _DAMAGES) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHORT_READ:
        return StoreError(f"the state file is damaged: {path}: {error}", hint="restore it from a backup")
    if isinstance(error, apsw.BusyError):
        message = f"another program has kept the state file {path} locked for {BUSY_TIMEOUT_MS / 1000:g} seconds"
        return StoreBusyError(message, hint="end that program, such as an open sqlite3 shell, then run again")
    return InfrastructureError(
        f"the state file {path} cannot be used: {error}", hint="check space and permissions, then run again"
    )


_opened: dict[str, Database] = {}
_opened_lock = threading.Lock()


def opened(run_root: str | Path) -> Database:
    """Give the state file of a run, opened once per process and kept."""
    name = str(run_root)
    with _opened_lock:
        if name not in _opened:
            _opened[name] = open_database(Path(name) / FILE_NAME)
        return _opened[name]


def close_opened(run_root: str | Path) -> None:
    """Close the kept state file of a run, if it is open."""
    with _opened_lock:
        database = _opened.pop(str(run_root), None)
    if database is not None:
        database.close()
