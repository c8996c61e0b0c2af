"""Write files: the only module that does, so that each is whole or absent after a crash."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import InfrastructureError

TEMPORARY = ".ms-tmp-"
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put ``content`` under ``path`` so that a reader sees the former file or the whole new one, also after a crash.

    Raises `InfrastructureError` naming the path and the size when the disk refuses.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}")
    try:
        _write_synced(temporary, content, mode)
        os.replace(temporary, path)  # noqa: PTH105  the same call as in the crash sweep's traces
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise refused(error, f"write {len(content)} bytes to {path}") from error


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
    """Fill a directory under a temporary name; it appears as ``path``, whole, when the block ends without an error."""
    make_directory(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}")
    try:
        temporary.mkdir()
        yield temporary
        sync_directory(temporary)
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise refused(error, f"make the directory {path}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove what an interrupted write left in ``folder``; call it only where no other process writes."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def open_lock(path: Path) -> int:
    """Open a lock file, made when it is missing and never through a symbolic link; return its descriptor."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise refused(error, f"open the lock file {path}") from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refused(error: OSError, deed: str) -> InfrastructureError:
    """Translate an operating-system error into ours: what could not be done and why."""
    reason = (error.strerror or type(error).__name__).lower()
    return InfrastructureError(f"cannot {deed}: {reason}", hint="check space, owner and permissions, then run again")


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, _NEW, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
