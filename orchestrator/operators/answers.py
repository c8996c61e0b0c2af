"""Read what people and instruments write: only where it is whole, a file of its own, and strict JSON."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import NotJsonSafeError
from orchestrator.jsonsafe import loads

CAP_BYTES = 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe does not keep us waiting, and a link leads nowhere.
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotYetError(Exception):
    """What was written cannot be taken, or not yet; the text says why."""


class RefusedError(NotYetError):
    """What was written is whole and does not fit: its writer has to write something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A document that somebody wrote, its bytes, and whose file it is.

    ``at_utc`` is when its owner says that it was written, ``changed_utc`` when the system last saw a change of it.
    """

    document: dict[str, Any]
    raw: bytes
    by: str
    at_utc: str
    changed_utc: str


def read_written(path: Path, cap: int = CAP_BYTES, base: Path | None = None) -> Written:
    """Read a file of at most ``cap`` bytes; raise `NotYetError` with the reason where it cannot be taken.

    It is reached from ``base``, the folder around it where none is given, through no link.
    """
    base = base or path.parent
    with opened(base, str(path.relative_to(base))) as descriptor:
        found = os.fstat(descriptor)
        raw = os.read(descriptor, cap + 1)
    if max(found.st_size, len(raw)) > cap:
        raise NotYetError(f"it has {max(found.st_size, len(raw))} bytes, more than {cap}")
    return Written(
        document=document_of(raw),
        raw=raw,
        by=user_name(found.st_uid),
        at_utc=_utc(found.st_mtime),
        changed_utc=_utc(found.st_ctime),
    )


@contextlib.contextmanager
def opened(folder: Path, name: str) -> Iterator[int]:
    """Open a file below a folder for reading, through no link; ``name`` may name folders below it.

    Raises `NotYetError` where it is none, or not a regular file with one name.
    """
    descriptor = _descend(folder, name)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise NotYetError("it is no regular file of its own")
        yield descriptor
    finally:
        os.close(descriptor)


def document_of(raw: bytes) -> dict[str, Any]:
    """Give the JSON object that bytes are, with or without a byte order mark; raise `NotYetError` for others."""
    try:
        document = loads(raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, NotJsonSafeError, ValueError, RecursionError) as error:
        raise NotYetError("it is not, or not yet, one whole JSON document") from error
    if not isinstance(document, dict):
        raise NotYetError("expected a JSON object")
    return document


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def user_name(uid: int) -> str:
    """Give the name of a user, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _descend(folder: Path, name: str) -> int:
    """Open each folder on the way from within the one above, so that nobody can put a link in between."""
    *folders, last = name.split("/")
    try:
        inside = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        for step in folders:
            inside = _step(step, _FOLDER, inside)
        return _step(last, _LOOK, inside)
    except OSError as error:
        raise NotYetError("it cannot be read, or is a link") from error


def _step(name: str, flags: int, inside: int) -> int:
    try:
        return os.open(name, flags, dir_fd=inside)
    finally:
        os.close(inside)
