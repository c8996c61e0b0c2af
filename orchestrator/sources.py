"""Read the text of a recipe or configuration file safely, and say where in it each part of the document stands."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Protocol

import yaml

from orchestrator.errors import InvalidFileError, Place, Problem
from orchestrator.keys import did_you_mean

MAX_BYTES = 8 * 1024 * 1024
MAX_NODES = 600_000
MAX_PROBLEMS = 1_000

DocPath = tuple[str | int, ...]

# Non-blocking, so that a pipe nobody writes to is refused instead of waited for.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDEST_MARK = 200
_LAST_COLUMN_SHOWN = 1_000
_MOST_COLUMNS_DRAWN = 1_000_000
_MOST_NEIGHBOURS = 1_000

_KINDS = {
    stat.S_IFDIR: ("is a directory", "name a file in it"),
    stat.S_IFIFO: ("is a pipe", "write its content to a file, or feed it to standard input and name '-'"),
    stat.S_IFCHR: ("is a device", "name a regular file"),
    stat.S_IFBLK: ("is a device", "name a regular file"),
}
_REASONS = {
    errno.EACCES: ("may not be read by this user", "check its permissions and those of its folders"),
    errno.ENXIO: ("is a socket", "name a regular file"),
    errno.ENAMETOOLONG: ("is longer than a path can be", "check the path"),
    errno.ENOTDIR: ("lies below something that is not a directory", "check the path"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one file, under the name people know it by, with the sha256 of its bytes.

    The text is valid Unicode without a byte order mark. Places are worked out only when first asked for.
    """

    name: str
    text: str = field(repr=False)
    sha256: str

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> Source:
        """Make a source of bytes already read; raise `InvalidFileError` when they are too many or not UTF-8."""
        _check_size(name, len(raw))
        marked = raw.startswith(_UTF8_MARK)
        text = _decoded(name, raw[len(_UTF8_MARK) :] if marked else raw)
        return cls(name=name, text=text, sha256=hashlib.sha256(raw).hexdigest())

    @classmethod
    def from_text(cls, name: str, text: str) -> Source:
        """Make a source of text already read, such as ``<stdin>``; raise `InvalidFileError` as `from_bytes` does."""
        return cls.from_bytes(name, text.encode("utf-8", "surrogatepass"))

    def place(self, path: DocPath, *, of_key: bool = False) -> Place:
        """Give the place of the node at ``path`` or of its key; for one that is missing, of the nearest above it."""
        return self.at(*self.span(path, of_key=of_key))

    def span(self, path: DocPath, *, of_key: bool = False) -> tuple[int, int]:
        """Give where the same node begins and ends, as character offsets into the text."""
        return _outline(self.text).span(path, of_key=of_key)

    def at(self, start: int, end: int = 0) -> Place:
        """Give the place of the characters from ``start`` to ``end``, marked no further than their first line.

        The line is shown in part when it is long, and not at all around a column that nobody can find by eye.
        """
        starts = _line_starts(self.text)
        number = bisect_right(starts, start)
        column = start - starts[number - 1]
        stop = starts[number] if number < len(starts) else len(self.text)
        shown = self.text[start - column : min(stop, start + _WIDEST_MARK)] if column < _LAST_COLUMN_SHOWN else ""
        width = max(1, min(end - start, len(shown.rstrip()) - column))
        return Place(self.name, number, column + 1, shown.rstrip(), width)


def read_source(path: Path) -> Source:
    """Read a regular file of at most 8 MiB of UTF-8; never follows a link, never waits for a pipe.

    Raises `InvalidFileError` whose one problem names the path, why it cannot be read and what to do.
    """
    try:
        return Source.from_bytes(str(path), _read_bytes(path))
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def printable(text: str) -> tuple[str, list[int]]:
    """Give the text with the first thousand characters that YAML forbids replaced by ``?``, and where they stand."""
    offsets = [match.start() for match in islice(_UNPRINTABLE.finditer(text), MAX_PROBLEMS)]
    return (_UNPRINTABLE.sub("?", text, count=MAX_PROBLEMS) if offsets else text), offsets


def refusal(problems: Iterable[Problem]) -> InvalidFileError:
    """Make the one error of a file: its problems in file order, those beyond a thousand only counted."""
    ordered = sorted(problems, key=_position)
    columns = accumulate(problem.place.column if problem.place else 0 for problem in ordered)
    small = [problem for problem, drawn in zip(ordered, columns, strict=True) if drawn <= _MOST_COLUMNS_DRAWN]
    kept = list(islice(small, MAX_PROBLEMS)) or ordered[:1]
    if len(kept) < len(ordered):
        kept.append(
            Problem("MS109", f"{len(ordered) - len(kept)} more problems are not shown", help="mend these first")
        )
    return InvalidFileError(kept)


def _position(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)


def _read_bytes(path: Path) -> bytes:
    descriptor = os.open(path, _OPEN)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what, todo = _KINDS.get(stat.S_IFMT(status.st_mode), ("is not a regular file", "name a regular file"))
            raise InvalidFileError([Problem("MS108", f"{str(path)!r} {what}", help=todo)])
        _check_size(str(path), status.st_size)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        message = f"{name!r} is larger than {MAX_BYTES} bytes"
        raise InvalidFileError(
            [Problem("MS109", message, help="keep large tables in files of their own and name those")]
        )


def _refused(path: Path, error: OSError | ValueError) -> InvalidFileError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        what, todo = "does not exist", _like(path) or "check the path"
    elif number == errno.ELOOP:
        what, todo = "is a symbolic link", f"name the file it points to: {_target(path)!r}"
    else:
        reason = getattr(error, "strerror", None) or str(error)
        what, todo = _REASONS.get(number or 0, (f"cannot be read: {reason.lower()}", "check the path"))
    return InvalidFileError([Problem("MS108", f"{str(path)!r} {what}", help=todo)])


def _like(path: Path) -> str:
    """Suggest the recipe beside the missing one whose name is close to it."""
    hint = did_you_mean(path.name, _neighbours(path.parent))
    return hint if hint.startswith("did") else ""


def _neighbours(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MOST_NEIGHBOURS)]
    except OSError:
        return []
    return [name for name in names if name.endswith((".yaml", ".yml"))]


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "?"


def _decoded(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        what = "UTF-16" if raw.startswith(_UTF16_MARKS) else f"the byte 0x{raw[error.start]:02x}"
        offset = len(raw[: error.start].decode())
        source = Source(name=name, text=raw.decode(errors="replace"), sha256="")
        message = f"expected UTF-8, got {what} at byte {error.start}"
        problem = Problem("MS108", message, source.at(offset), "save the file as UTF-8")
        raise InvalidFileError([problem]) from error


@lru_cache(maxsize=1)
def _line_starts(text: str) -> array[int]:
    return array("I", [0]) + array("I", (match.end() for match in _LINE_BREAK.finditer(text)))


class _Outline:
    """Where every node of a document begins and ends, and which nodes lie below which.

    Nodes are numbered as they begin, so the key of a value is the node one before it. Built without recursion and in
    flat arrays, because the largest file allowed has 600,000 nodes.
    """

    def __init__(self) -> None:
        self.starts = array("I")
        self.ends = array("I")
        self.below: dict[int, dict[str | int, int]] = {}
        self._anchored: dict[str, int] = {}
        self._opened: list[_Opened] = []

    def span(self, path: DocPath, *, of_key: bool) -> tuple[int, int]:
        """Give the span of the node at the path, or of its key, or of the nearest node above."""
        if not self.starts:
            return 0, 0
        node = found = 0
        for part in path:
            found = self.below.get(node, {}).get(part, -1)
            if found < 0:
                break
            node = found
        wanted = node - 1 if of_key and found > 0 and isinstance(path[-1], str) else node
        return self.starts[wanted], self.ends[wanted]

    def take(self, event: yaml.Event) -> None:
        """Note one event of the parser."""
        if isinstance(event, yaml.CollectionEndEvent):
            self.ends[self._opened.pop().node] = _offset(event.end_mark)
        elif isinstance(event, yaml.NodeEvent):
            self._begin(event)

    def _begin(self, event: yaml.NodeEvent) -> None:
        node = len(self.starts)
        self.starts.append(_offset(event.start_mark))
        self.ends.append(_offset(event.end_mark))
        self._attach(node, event)
        if isinstance(event, yaml.CollectionStartEvent):
            parts = self.below[node] = {}
            self._opened.append(_Opened(node, parts, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.AliasEvent):
            self.below[node] = self.below.get(self._anchored.get(event.anchor or "", -1), {})
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            self._anchored[event.anchor] = node

    def _attach(self, node: int, event: yaml.NodeEvent) -> None:
        if not self._opened:
            return
        parent = self._opened[-1]
        if not parent.is_mapping:
            parent.parts[len(parent.parts)] = node
        elif parent.key is None:
            parent.key = event.value if isinstance(event, yaml.ScalarEvent) else ""
        else:
            parent.parts.setdefault(parent.key, node)
            parent.key = None


@dataclass(slots=True)
class _Opened:
    """A list or mapping whose end has not come yet, and the key that waits for its value."""

    node: int
    parts: dict[str | int, int]
    is_mapping: bool
    key: str | None = None


class _Mark(Protocol):
    """A place that the parser gives, as an offset in characters."""

    index: int


def _offset(mark: _Mark | None) -> int:
    # The C parser marks every event; only the type says that a mark may be missing.
    return mark.index if mark else 0


@lru_cache(maxsize=1)
def _outline(text: str) -> _Outline:
    outline = _Outline()
    # A fault further down is reported by whoever reads the values; what stands before it can still be pointed at.
    with contextlib.suppress(yaml.YAMLError):
        for event in yaml.parse(printable(text)[0], Loader=yaml.CSafeLoader):
            outline.take(event)
            if len(outline.starts) > MAX_NODES:
                break
    return outline
