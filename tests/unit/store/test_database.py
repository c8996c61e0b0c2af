"""The state file is opened only when it is whole and ours, and a transaction is one fact."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import InfrastructureError, StoreError
from orchestrator.files import TEMPORARY
from orchestrator.store import database as module
from orchestrator.store.database import (
    APPLICATION_ID,
    Database,
    close_opened,
    create_database,
    open_database,
    opened,
    reading,
    schema_version,
)
from orchestrator.store.queries import read_run
from orchestrator.store.runs import put_inputs

MIGRATIONS = sorted((Path(module.__file__).parent / "migrations").glob("*.sql"))


def schema_of(path: Path) -> list[tuple[str, str, str]]:
    """List what a file's schema holds."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return rows


def pragma_of(path: Path, name: str) -> object:
    """Read one setting of a file."""
    connection = sqlite3.connect(path)
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    connection.close()
    return value


@pytest.fixture(name="path")
def _path(database: Database) -> Path:
    """Give a state file that nobody has open."""
    database.close()
    return database.path


@pytest.fixture(name="older")
def _older(tmp_path: Path) -> Path:
    """Give a file of an earlier schema, with one table of its own."""
    path = tmp_path / "state.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 4; PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('kept')")
    connection.close()
    return path


def test_a_fresh_schema_is_the_sum_of_the_migrations(path: Path, tmp_path: Path) -> None:
    """There is one way to the present schema."""
    summed = tmp_path / "summed.sqlite"
    connection = sqlite3.connect(summed)
    for migration in MIGRATIONS:
        connection.executescript(migration.read_text(encoding="utf-8"))
    connection.close()

    assert schema_of(path) == schema_of(summed)
    assert pragma_of(path, "user_version") == schema_version() == int(MIGRATIONS[-1].name.split("_")[0])


def test_a_state_file_can_be_told_from_others(path: Path) -> None:
    """It bears our mark."""
    assert pragma_of(path, "application_id") == 0x4D535431


def test_what_was_written_is_there_when_opened_again(path: Path) -> None:
    """Closing loses nothing and leaves one file."""
    database = open_database(path)

    assert read_run(database).workspace_slug == "screening"
    database.close()
    assert [file.name for file in path.parent.iterdir()] == ["state.sqlite"]


def test_creating_over_an_existing_file_is_refused(path: Path) -> None:
    """No run is ever overwritten by accident."""
    before = path.read_bytes()

    with pytest.raises(StoreError, match="there is a state file already"):
        create_database(path)

    assert path.read_bytes() == before


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    """Opening is not making."""
    with pytest.raises(StoreError, match="no state file at") as caught:
        open_database(tmp_path / "state.sqlite")

    assert caught.value.hint == "check the run id with 'matterstack runs'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the state file is empty"),
        (b"SQLite", "not a state file, its header is damaged"),
        (b"\x00" * 4096, "not a state file, its header is damaged"),
        (b"SQLite format 3\x00" + b"\x00" * 4080, "not a state file of this program"),
    ],
)
def test_what_is_no_state_file_is_refused_untouched(tmp_path: Path, content: bytes, message: str) -> None:
    """It is neither repaired nor created anew."""
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)

    with pytest.raises(StoreError, match=message) as caught:
        open_database(path)

    assert caught.value.code == "MS501"
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A SQLite file without our mark is not ours to touch."""
    path = tmp_path / "state.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()

    with pytest.raises(StoreError, match="not a state file of this program"):
        open_database(path)


def test_a_newer_schema_is_refused_untouched(path: Path) -> None:
    """What a later program wrote is left byte for byte as it is."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match=rf"has schema 99; this program knows up to {schema_version()}") as caught:
        open_database(path)

    assert caught.value.code == "MS502"
    assert path.read_bytes() == before


def test_a_newer_schema_in_the_log_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    """A later program that crashed leaves its version in the write-ahead log only."""
    newer = apsw.Connection(str(path))
    newer.execute("PRAGMA user_version = 99")
    copy = tmp_path / "copy" / "state.sqlite"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    newer.close()
    before = copy.read_bytes()

    with pytest.raises(StoreError, match="has schema 99") as caught:
        open_database(copy)

    assert caught.value.code == "MS502"
    assert copy.read_bytes() == before


def test_an_older_file_is_brought_up_to_date(older: Path) -> None:
    """Nothing of it is dropped."""
    database = open_database(older)

    assert database.all("SELECT text FROM note") == [("kept",)]
    assert database.all("PRAGMA user_version") == [(schema_version(),)]
    database.close()


def test_before_a_change_of_schema_a_copy_is_kept(older: Path) -> None:
    """The former file stands beside the new one, complete."""
    open_database(older).close()

    backup = older.with_name("state.sqlite.v4.bak")
    assert pragma_of(backup, "user_version") == 4
    assert [name for _, name, _ in schema_of(backup)] == ["note"]


def test_a_copy_that_was_cut_short_is_made_again(older: Path) -> None:
    """What a crash left of the first try does not pass for the backup."""
    older.with_name(f"{TEMPORARY}state.sqlite.v4.bak").write_bytes(b"half a copy")

    open_database(older).close()

    assert pragma_of(older.with_name("state.sqlite.v4.bak"), "integrity_check") == "ok"
    assert not older.with_name(f"{TEMPORARY}state.sqlite.v4.bak").exists()


def test_a_change_of_schema_that_fails_changes_nothing(older: Path) -> None:
    """The file stays at its version, with none of the new tables."""
    connection = sqlite3.connect(older)
    connection.execute("CREATE TABLE tasks (strange)")
    connection.close()

    with pytest.raises(StoreError, match="table tasks already exists"):
        open_database(older)

    assert pragma_of(older, "user_version") == 4
    assert [name for _, name, _ in schema_of(older)] == ["note", "tasks"]


def test_a_change_of_schema_that_only_the_log_knows_is_not_made_twice(older: Path, tmp_path: Path) -> None:
    """A crash right after it leaves the former version in the file's header."""
    database = open_database(older)
    copy = tmp_path / "copy" / "state.sqlite"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{older}{suffix}", f"{copy}{suffix}")
    database.close()

    database = open_database(copy)

    assert database.all("PRAGMA user_version") == [(schema_version(),)]
    assert not copy.with_name("state.sqlite.v4.bak").exists()
    database.close()


def test_a_transaction_is_durable_when_it_ends(database: Database, run_root: Path) -> None:
    """Another connection sees it at once."""
    with database.transaction():
        put_inputs(database, {"argv": ["run"]})

    with reading(run_root) as other:
        assert other.all("SELECT name, value_json FROM run_inputs") == [("argv", '["run"]')]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    """All of it happens, or none."""

    def fail() -> None:
        with database.transaction():
            put_inputs(database, {"argv": []})
            raise EOFError

    with pytest.raises(EOFError):
        fail()

    assert database.all("SELECT name FROM run_inputs") == []


def test_transactions_inside_one_another_are_one(database: Database) -> None:
    """The outermost decides."""

    def fail() -> None:
        with database.transaction():
            with database.transaction():
                put_inputs(database, {"argv": []})
            raise EOFError

    with pytest.raises(EOFError):
        fail()

    assert database.all("SELECT name FROM run_inputs") == []


def test_after_a_failed_transaction_the_next_succeeds(database: Database) -> None:
    """Nothing of the failure stays."""
    with pytest.raises(StoreError), database.transaction():
        database.write("INSERT INTO no_such_table VALUES (1)")

    with database.transaction():
        put_inputs(database, {"argv": []})

    assert database.all("SELECT name FROM run_inputs") == [("argv",)]


def test_a_value_that_breaks_a_rule_is_refused(database: Database) -> None:
    """The tables are strict about types and keys."""
    with pytest.raises(InfrastructureError, match="cannot be used"), database.transaction():
        database.write("INSERT INTO schema_info (key, value) VALUES ('x', NULL)")


def test_reading_does_not_write(database: Database, run_root: Path) -> None:
    """A reader cannot change the run."""
    database.close()
    with reading(run_root) as reader, pytest.raises(InfrastructureError, match="readonly"), reader.transaction():
        put_inputs(reader, {"argv": []})


def test_a_process_opens_a_run_once(path: Path) -> None:
    """Core scriptlets are given a path and share what stands behind it."""
    first = opened(path.parent)

    assert opened(path.parent) is first
    close_opened(path.parent)
    assert opened(path.parent) is not first
    close_opened(path.parent)


def test_closing_what_is_not_open_does_nothing(tmp_path: Path) -> None:
    """Whoever tidies up need not know."""
    close_opened(tmp_path)


def test_reads_of_one_state_do_not_see_what_is_written_meanwhile(path: Path) -> None:
    """The next ones do."""
    writer = open_database(path)

    with reading(path.parent) as database:
        with database.one_state():
            before = read_run(database).status
            with writer.transaction():
                writer.write("UPDATE runs SET status = 'RUNNING'")
            assert read_run(database).status is before
        assert read_run(database).status == "RUNNING"
    writer.close()
