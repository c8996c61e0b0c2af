"""Gather what an attempt left in its directory: regular files alone, each with size and digest, within caps."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.files import TEMPORARY, refused
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import OF_ALL, STDERR, STDOUT
from orchestrator.workers.calls import STDERR_CAP, STDOUT_CAP
from orchestrator.workers.capture import Capture

MAX_FILES = 10_000
MAX_BYTES = 64 * 1024**3
MAX_REJECTED = 100
MAX_DEPTH = 50

_CHUNK = 1 << 20
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Choice:
    """Which files of an attempt's directory are what it left, by their paths below it.

    Those that were ``given`` to it are not, nor what the runner keeps there. ``fetch`` holds the patterns of the step:
    with ``required`` or ``optional``, only what fits one of them is taken, and never what fits ``exclude``.
    """

    def __init__(self, given: Sequence[str] = (), fetch: Mapping[str, Sequence[str]] | None = None) -> None:
        wanted = fetch or {}
        self._given = frozenset(given)
        self._required = tuple(wanted.get("required", ()))
        self._only = (*self._required, *wanted.get("optional", ()))
        self._exclude = tuple(wanted.get("exclude", ()))

    def is_apart(self, path: str) -> bool:
        """Tell whether a file, or a whole folder, is none of the attempt's own."""
        return path in self._given or path in OF_ALL

    def takes(self, path: str) -> bool:
        """Tell whether a file that is not apart is one of those to take."""
        if any(fnmatchcase(path, pattern) for pattern in self._exclude):
            return False
        return not self._only or any(fnmatchcase(path, pattern) for pattern in self._only)

    def missing(self, taken: Iterable[str]) -> tuple[str, ...]:
        """Give the required patterns that nothing of what was taken fits."""
        paths = list(taken)
        return tuple(one for one in self._required if not any(fnmatchcase(path, one) for path in paths))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What an attempt left: its files, what was left out and why, and which required patterns nothing fits."""

    artifacts: tuple[Mapping[str, JsonValue], ...] = ()
    rejected: tuple[Mapping[str, JsonValue], ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Give it as it is kept with the attempt."""
        found: dict[str, JsonValue] = {"artifacts": [dict(one) for one in self.artifacts]}
        if self.rejected:
            found["rejected_entries"] = [dict(one) for one in self.rejected]
        return found


def gather(folder: Path, choice: Choice | None = None) -> Gathered:
    """Give what an attempt left in its directory; every file is synced.

    What interrupted writes left there is removed. Raises `InfrastructureError` where a file cannot be read.
    """
    chosen = choice or Choice()
    walk = _Walk(chosen)
    try:
        top = os.open(folder, _LOOK | os.O_DIRECTORY)
    except OSError as error:
        raise refused(error, f"read the directory {folder} of the attempt") from error
    try:
        walk.down(top, "")
        if walk.artifacts:
            os.fsync(top)
    finally:
        os.close(top)
    missing = chosen.missing(str(one["path"]) for one in walk.artifacts)
    return Gathered(artifacts=tuple(walk.artifacts), rejected=tuple(walk.rejected), missing=missing)


_ODD = {errno.ELOOP: "it is a link", errno.ENXIO: "it is no regular file"}


class _Walk:
    """The way through one directory; each entry is opened from the one above it, so that no link leads elsewhere."""

    def __init__(self, choice: Choice) -> None:
        self.artifacts: list[Mapping[str, JsonValue]] = []
        self.rejected: list[Mapping[str, JsonValue]] = []
        self._choice = choice
        self._bytes = 0

    def down(self, folder: int, prefix: str) -> None:
        """Take all that lies in an open directory."""
        for name in sorted(os.listdir(folder)):
            path = f"{prefix}{name}"
            if name.startswith(TEMPORARY):
                _clear(folder, name)
                continue
            if self._choice.is_apart(path):
                continue
            try:
                self._entry(folder, name, path)
            except OSError as error:
                self._reject(path, _ODD.get(error.errno or 0) or (error.strerror or "it cannot be read").lower())

    def _entry(self, folder: int, name: str, path: str) -> None:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            if path.count("/") >= MAX_DEPTH:
                self._reject(path, f"it lies more than {MAX_DEPTH} folders deep")
                return
            descriptor = os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=folder)
            try:
                self.down(descriptor, f"{path}/")
            finally:
                os.close(descriptor)
        elif self._choice.takes(path):
            self._file(folder, name, path)

    def _file(self, folder: int, name: str, path: str) -> None:
        descriptor = os.open(name, _LOOK, dir_fd=folder)
        try:
            found = os.fstat(descriptor)
            if complaint := self._complaint(found, path):
                self._reject(path, complaint)
                return
            self._bytes += found.st_size
            digest = hashlib.sha256()
            for chunk in _chunks(descriptor, found.st_size):
                digest.update(chunk)
            os.fsync(descriptor)
            self.artifacts.append({"path": path, "sha256": digest.hexdigest(), "size": found.st_size})
        finally:
            os.close(descriptor)

    def _complaint(self, found: os.stat_result, path: str) -> str:
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file"
        if found.st_nlink != 1:
            return "it has another name elsewhere"
        if not path.isprintable():
            return "its name holds what cannot be shown"
        if len(self.artifacts) >= MAX_FILES or self._bytes + found.st_size > MAX_BYTES:
            return f"there are more than {MAX_FILES} files or {MAX_BYTES} bytes"
        return ""

    def _reject(self, path: str, reason: str) -> None:
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append({"path": path.encode("utf-8", "replace").decode(), "reason": reason})


def _clear(folder: int, name: str) -> None:
    """Remove the file of an interrupted write; the attempt has ended, so nobody goes on with it."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Read as much as there was when the file was opened, though it grows meanwhile."""
    left = size
    while left > 0 and (chunk := os.read(descriptor, min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk


def read_streams(folder: Path) -> tuple[Capture, Capture]:
    """Give what an attempt wrote to standard output, whose head is kept, and to standard error, whose tail is."""
    stdout, stderr = Capture(cap=STDOUT_CAP, keep_tail=False), Capture(cap=STDERR_CAP, keep_tail=True)
    _read_into(folder / STDOUT, stdout)
    _read_into(folder / STDERR, stderr)
    return stdout, stderr


def _read_into(path: Path, capture: Capture) -> None:
    try:
        descriptor = os.open(path, _LOOK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(error, f"read {path}") from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            for chunk in _chunks(descriptor, found.st_size):
                capture.add(chunk)
            if found.st_size:
                os.fsync(descriptor)
    finally:
        os.close(descriptor)
