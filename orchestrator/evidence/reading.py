"""Open files that others may have put in the run's directory: regular ones that lie in it, and nothing else."""

from __future__ import annotations

import contextlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking, so that a pipe nobody writes to is refused instead of waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class UnsafeFileError(OSError):
    """A name that leads elsewhere, or something that is no regular file of its own."""


def is_safe(name: str) -> bool:
    """Tell whether a name can be one of a file in an evidence: relative, without ``..``, in one spelling, printable."""
    parts = name.split("/")
    is_plain = name.isprintable() and "\\" not in name and unicodedata.is_normalized("NFC", name)
    return is_plain and not any(part in ("", ".", "..") for part in parts)


@contextlib.contextmanager
def opened_inside(root: Path, name: str) -> Iterator[Iterator[bytes]]:
    """Give the bytes of a file below a directory piece by piece, following no link on the way.

    Raises `FileNotFoundError`, `UnsafeFileError` or another `OSError`.
    """
    descriptor = _open(root, name)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise UnsafeFileError(f"{name} is no regular file of its own")
        yield iter(lambda: os.read(descriptor, _CHUNK), b"")
    finally:
        os.close(descriptor)


def _open(root: Path, name: str) -> int:
    if not is_safe(name):
        raise UnsafeFileError(f"{name!r} is not the name of a file in an evidence")
    *folders, last = name.split("/")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for step, flags in [*((folder, _FOLDER) for folder in folders), (last, _FILE)]:
        above = descriptor
        try:
            descriptor = os.open(step, flags, dir_fd=above)
        finally:
            os.close(above)
    return descriptor
