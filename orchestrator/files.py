"""Write files: the only module that does, so that each is whole or absent after a crash."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Dict, Iterable, Iterator, Mapping, Tuple

from orchestrator.errors import InfrastructureError

TEMPORARY = ".ms-tmp-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY
# Both systems know the exchange of two names by the same number; Linux wants to know relative to which directory.
_EXCHANGE = 2
_AT_WORKING_DIRECTORY = -100
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def replace_file(path: Path, content: bytes, mode: int = 0o600, *, exactly: bool = False) -> None:
    """Put ``content`` under ``path`` so that a reader sees the former file or the whole new one, also after a crash.

    The file has the ``mode`` less what the user takes from all files, or ``exactly`` that one.

    Raises `InfrastructureError` naming the path and the size when the disk refuses.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")
    try:
        _write_synced(temporary, [content], mode)
        if exactly:
            temporary.chmod(mode)
        os.replace(temporary, path)  # noqa: PTH105  the same call as in the crash sweep's traces
        sync_directory(path.parent)
    except OSError as error:
        _drop(temporary)
        raise refused(error, f"write {len(content)} bytes to {path}") from error


def replace_file_by(path: Path, chunks: Iterable[bytes], mode: int = 0o600) -> None:
    """Put what comes in pieces under ``path``, as `replace_file` does; an error of the pieces leaves all as it was."""
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")
    try:
        _write_synced(temporary, chunks, mode)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"write {path}") from error
    finally:
        _drop(temporary)


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a file that another library wrote its final name, once its content is durable; errors as in `replace_file`.

    The temporary name begins with `TEMPORARY`, so that an interrupted write is swept away.
    """
    try:
        _sync(temporary, os.O_RDONLY)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"put a file in place as {path}") from error


def move_synced(moves: Mapping[Path, Path]) -> None:
    """Give files whose content is durable already other names, from old to new; the new names are durable at the end.

    Raises `InfrastructureError`.
    """
    try:
        for path, target in moves.items():
            path.replace(target)
        for target in {target.parent for target in moves.values()}:
            sync_directory(target)
    except OSError as error:
        raise refused(error, f"put files in place: {target}") from error


def remove_file(path: Path) -> None:
    """Remove a file or a link; one that is gone already is no error. Raises `InfrastructureError`."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(error, f"remove {path}") from error
    sync_directory(path.absolute().parent)


def set_aside(path: Path, folder: Path) -> Path:
    """Move a file, durably, into a folder beside the one around it or above; give where it is then.

    It gets the first free number. The folder is made where it is missing, and may be read as the one around it. Raises
    `InfrastructureError`.
    """
    try:
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(folder.parent.stat().st_mode & 0o7777)
        names = (folder / f"{path.stem}-{number}{path.suffix}" for number in itertools.count(1))
        target = next(name for name in names if not os.path.lexists(name))
        path.rename(target)
        for changed in (folder, path.parent, folder.parent):
            sync_directory(changed)
    except OSError as error:
        raise refused(error, f"move {path} to {folder}") from error
    return target


def remove_directory(path: Path) -> None:
    """Remove a directory, which is gone for readers at once; one that is gone already is no error.

    What others made in it and keep from being removed stays under a temporary name. Raises `InfrastructureError`.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")
    try:
        path.rename(temporary)
        sync_directory(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(error, f"remove {path}") from error
    shutil.rmtree(temporary, ignore_errors=True)


def make_directory(path: Path) -> None:
    """Make a directory and those above it, durably; one that exists is left as it is."""
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o777, exist_ok=True)
                sync_directory(folder.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Fill a directory under a temporary name; it appears as ``path``, whole, when the block ends without an error.

    It is locked meanwhile, which keeps `sweep_temporaries` of another process away from it.
    """
    make_directory(path.parent)
    try:
        temporary, descriptor = _locked_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error
    try:
        yield temporary
        sync_directory(temporary)
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


@contextlib.contextmanager
def filling_directory(path: Path, *, durable: bool) -> Iterator[Path]:
    """Fill a directory under a temporary name; it appears as ``path``, whole, when the block ends without an error.

    Nothing is synced where it need not be ``durable``: what can be made again, or is lost together with what uses it.
    """
    temporary = path.parent / f"{TEMPORARY}{os.urandom(6).hex()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if durable:
            _sync_tree(temporary)
        temporary.rename(path)
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def log_action(number: int, path: Path) -> Tuple[int, int, str, int, int]:
    """Say, for `os.posix_spawn`, that a descriptor of the program is the end of a log file."""
    return (os.POSIX_SPAWN_OPEN, number, str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def fill_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file that is not there yet into a directory that is being filled; raises `OSError`."""
    descriptor = os.open(path, _NEW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Fill a directory under a temporary name; it takes the place of ``path``, whole, when the block ends well.

    A reader sees the former directory or the whole new one, also after a crash; the former is then removed. Only where
    a file system cannot exchange two names is there an instant without either. What interrupted writes of directories
    left beside it is removed first. Raises `InfrastructureError` where the disk refuses.
    """
    make_directory(path.parent)
    sweep_directories(path.parent)
    try:
        temporary, descriptor = _locked_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error
    try:
        yield temporary
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def write_chunks(path: Path, chunks: Iterable[bytes], mode: int = 0o644) -> None:
    """Write a file of a directory that is being filled, piece by piece; the folders above it are made.

    Raises `InfrastructureError` naming the path where the disk refuses, or where there is such a file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_synced(path, chunks, mode)
    except OSError as error:
        raise refused(error, f"write {path}") from error


@contextlib.contextmanager
def private_files(parent: Path, contents: Mapping[str, bytes]) -> Iterator[Dict[str, Path]]:
    """Keep small files that this user alone may read while the block lasts; they need not survive the machine.

    ``parent`` is made for this user alone. What processes that were killed left in it is removed first. Raises
    `InfrastructureError` where it belongs to somebody else, or others may enter it.
    """
    if not contents and not parent.exists():
        yield {}
        return
    try:
        own_directory(parent)
        sweep_temporaries(parent)
        folder, descriptor = _locked_directory(parent)
    except OSError as error:
        raise refused(error, f"make the directory {parent}") from error
    try:
        paths = {name: folder / name for name in contents}
        for name, content in contents.items():
            _write_synced(paths[name], [content], 0o600)
        yield paths
    except OSError as error:
        raise refused(error, f"write files in {folder}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def own_directory(path: Path) -> None:
    """Make a directory for this user alone, or see that it is one.

    Raises `InfrastructureError` where it belongs to somebody else or others may enter it, and `OSError`.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InfrastructureError(
            f"{path} is not a directory of this user alone", hint="remove it, or set XDG_RUNTIME_DIR to one that is"
        )


def refuse_of_others(folder: Path) -> None:
    """Refuse a directory in which somebody else could have put what it holds.

    Raises `InfrastructureError` where it belongs to neither this user nor root, or everybody may write there, or move
    it away.
    """
    found, above = folder.stat(), folder.absolute().parent.stat()
    is_movable = above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & stat.S_IWOTH or is_movable:
        hint = "look at it, then copy it, or take the permission to write from others with chmod o-w"
        raise InfrastructureError(f"{folder} belongs to somebody else, or everybody may change it", hint=hint)


def sweep_temporaries(folder: Path) -> None:
    """Remove what interrupted writes left in ``folder``, except directories that a living process is filling.

    Files are not locked while they are written: call it only where no other process writes files.
    """
    for leftover in folder.glob(f"{TEMPORARY}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            _sweep_directory(leftover)
        else:
            _drop(leftover)


def sweep_directories(folder: Path) -> None:
    """Remove the directories that interrupted writes left in ``folder``; other processes may write there meanwhile."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            _sweep_directory(leftover)


def open_lock(path: Path) -> int:
    """Open a lock file, made when it is missing and never through a symbolic link; return its descriptor."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise refused(error, f"open the lock file {path}") from error


def note_in_lock(descriptor: int, text: str) -> None:
    """Put a note into an open lock file in the place of the one before; it is of use only while the machine is up."""
    with contextlib.suppress(OSError):  # a full disk refuses it, and nothing rests on it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, _DIRECTORY)


def refused(error: OSError, deed: str) -> InfrastructureError:
    """Translate an operating-system error into ours: what could not be done and why."""
    reason = (error.strerror or type(error).__name__).lower()
    return InfrastructureError(f"cannot {deed}: {reason}", hint="check space, owner and permissions, then run again")


def _write_synced(path: Path, chunks: Iterable[bytes], mode: int) -> None:
    descriptor = os.open(path, _NEW, mode)
    try:
        for chunk in chunks:
            _write_all(descriptor, chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _sync_tree(entry)
        else:
            _sync(entry, os.O_RDONLY)
    sync_directory(folder)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drop(path: Path) -> None:
    """Remove a file that is of no use to anybody; one that cannot be removed does no harm."""
    with contextlib.suppress(OSError):
        path.unlink()


def _locked_directory(parent: Path) -> Tuple[Path, int]:
    """Make a directory under a temporary name and lock it; return it with the descriptor that holds the lock."""
    while True:
        temporary = parent / f"{TEMPORARY}{os.urandom(6).hex()}"
        temporary.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # swept in the moment before it was locked: make another
            descriptor = os.open(temporary, _DIRECTORY | os.O_NOFOLLOW)
            _lock(descriptor)
            if temporary.exists():
                return temporary, descriptor
            os.close(descriptor)


def _sweep_directory(path: Path) -> None:
    """Remove a directory unless another process holds its lock, or one cannot tell."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, _DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Make a filled directory durable and let it take its place."""
    try:
        for folder, _, _ in os.walk(temporary):
            sync_directory(Path(folder))
        _exchange(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error


def _exchange(temporary: Path, path: Path) -> None:
    """Give a directory its final name, and the one that has that the temporary one, in one step if possible."""
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        if not _exchanged(temporary, path):
            aside = path.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")
            path.rename(aside)
            temporary.rename(path)
            aside.rename(temporary)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; tell whether the system could."""
    import ctypes  # noqa: PLC0415  few processes need it

    library = ctypes.CDLL(None, use_errno=True)
    name, before = ("renamex_np", ()) if sys.platform == "darwin" else ("renameat2", (_AT_WORKING_DIRECTORY,))
    call = getattr(library, name, None)
    if call is None:
        return False
    if call(*before, os.fsencode(one.absolute()), *before, os.fsencode(other.absolute()), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number))


def _lock(descriptor: int) -> None:
    """Lock where the file system knows locks; where it does not, a sweep cannot lock either and leaves all alone."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
