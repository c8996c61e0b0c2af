"""Read YAML strictly into plain JSON values: the 1.2 core schema, no tags, no duplicate keys, and hard limits."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import yaml

from orchestrator.errors import InvalidFileError, NotJsonSafeError, Problem
from orchestrator.jsonsafe import MAX_INTEGER, JsonValue
from orchestrator.sources import MAX_NODES, MAX_PROBLEMS, Source, printable, refusal

MAX_DEPTH = 64
MAX_ALIASES = 1_000

_WORDS: dict[str, JsonValue] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FIRST_OF_SPECIAL = frozenset("-+.0123456789nNtTfF~")
_NUMBER = re.compile(
    r"(?P<decimal>[-+]?[0-9]+)"
    r"|(?P<prefixed>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<real>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<unreal>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_READERS: dict[str, Callable[[str], int | float]] = {
    "decimal": int,
    "prefixed": lambda text: int(text, 0),
    "real": float,
    "unreal": lambda _: math.nan,
}
_LONGEST_NUMBER = 300
_LONGEST_SHOWN = 40
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")

# The parser has a limit of its own, which it can reach before it tells of anything that was opened.
_TOO_DEEP = "exceeded maximum nesting depth"
_BAD_ESCAPE = "found invalid Unicode character escape code"
_UNCLOSED = "found unexpected end of stream"
_STARRED = "did not find expected alphabetic or numeric character"
_WRONG_FROM_THEIR_START = frozenset({_UNCLOSED, _STARRED})
_TAB = ("a tab cannot stand here", "indent with spaces")
_QUOTE = "put the text in quotes"
_PLAIN_WORDS = {
    "found character that cannot start any token": ("{char!r} cannot begin a value", _QUOTE),
    "found a tab character that violates indentation": _TAB,
    "found a tab character where an indentation space is expected": _TAB,
    "mapping values are not allowed in this context": (
        "a ':' cannot stand here",
        "put text that holds ': ' in quotes, or check the indentation",
    ),
    "did not find expected key": (
        "expected a key",
        "check the indentation, and what follows a closing quote or bracket",
    ),
    "did not find expected '-' indicator": ("expected '- '", "begin every item of the list in one column"),
    "did not find expected ',' or ']'": (
        "expected ',' or ']' in the list that begins at line {line}",
        "close the list, and put items that hold brackets or braces in quotes",
    ),
    "did not find expected ',' or '}'": (
        "expected ',' or '}}' in the mapping that begins at line {line}",
        "close the mapping, and put values that hold brackets or braces in quotes",
    ),
    "could not find expected ':'": ("expected ':' after the key at line {line}", "end the key with ': '"),
    _UNCLOSED: ("the quote that opens at line {line} is never closed", "close it"),
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here",
        "begin it on the next line, or write [a, b]",
    ),
    _STARRED: ("'*' and '&' cannot begin plain text", _QUOTE),
    "found unknown escape character": (
        "unknown escape in double quotes",
        "write a backslash as '\\\\', or use single quotes",
    ),
    _BAD_ESCAPE: ("the escape names no character", "write the character itself"),
    "did not find expected hexdecimal number": ("expected hexadecimal digits in the escape", "use single quotes"),
    "did not find expected <document start>": (
        "expected the document to end",
        "check the indentation of its first key",
    ),
    "did not find expected node content": ("expected a value", "remove this character, or put it in quotes"),
    "did not find expected comment or line break": ("text cannot follow here", "begin it on the next line"),
}


_TAGGED = ("MS104", "explicit tags ('!') are not used here", "remove the tag; quote the text if the '!' belongs to it")
_REFUSED_KEYS = {
    "": ("MS104", "a key is missing before ':'", "write a name"),
    "<<": ("MS104", "merge keys ('<<') are not used here", "write out the keys that you want"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What could be read of a file: its value, where faulty parts are null or left out, and every problem found.

    ``whole`` is false when reading had to stop early, so that the value says nothing.
    """

    value: JsonValue
    problems: tuple[Problem, ...]
    whole: bool


def parse(source: Source) -> JsonValue:
    """Give the value of the one document in the source; raise `InvalidFileError` with every problem found.

    An alias becomes a copy of what it names, so changing one never changes the other.
    """
    reading = scan(source)
    if reading.problems:
        raise refusal(reading.problems)
    return reading.value


def scan(source: Source) -> Reading:
    """Read the one document as far as possible, going on behind faults that leave the rest readable."""
    text, forbidden = printable(source.text)
    problems = [_forbidden(source, offset) for offset in forbidden]
    builder = _Builder(source, problems)
    try:
        builder.read(text)
    except yaml.MarkedYAMLError as error:
        if error.problem == _TOO_DEEP and error.problem_mark:
            # Our limit is lower, so that what stands before the parser's exceeds it, at its own place.
            return scan(dataclasses.replace(source, text=source.text[: error.problem_mark.index]))
        problems.append(_syntax_problem(source, error))
    except yaml.reader.ReaderError:
        problems.append(
            Problem("MS108", "the file does not look like text", source.at(0), "check that it is the right file")
        )
    except InvalidFileError as error:
        problems.extend(error.problems)
    else:
        return Reading(value=builder.value, problems=tuple(problems), whole=True)
    return Reading(value=None, problems=tuple(problems), whole=False)


def core_value(text: str) -> JsonValue:
    """Give what a plain scalar means in the YAML 1.2 core schema; raise `NotJsonSafeError` for a number JSON lacks."""
    if text and text[0] not in _FIRST_OF_SPECIAL:
        return text
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    return _number(text, _READERS[match.lastgroup or ""]) if match else text


def _number(text: str, read: Callable[[str], int | float]) -> int | float:
    number = read(text) if len(text) <= _LONGEST_NUMBER else math.inf
    if isinstance(number, float) and not math.isfinite(number):
        raise NotJsonSafeError(f"{_short(text)} is not a finite number", hint="use null, or put it in quotes")
    if isinstance(number, int) and abs(number) > MAX_INTEGER:
        raise NotJsonSafeError(f"{_short(text)} is beyond ±(2^53-1), so JSON cannot keep it", hint="put it in quotes")
    return number


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


class _Mark(Protocol):
    """A place that the parser gives: an offset in characters and a line, both from 0."""

    index: int
    line: int


class _Event(Protocol):
    """What the C parser says of a node; it marks every event and leaves out what a kind of event does not have."""

    anchor: str | None
    tag: str | None
    value: str
    style: str | None
    start_mark: _Mark
    end_mark: _Mark


@dataclass(slots=True)
class _Open:
    """A list (``keys`` is None) or mapping whose end has not come yet.

    ``keys`` gives the line of each key; ``key`` waits for its value, which is dropped when the key was refused.
    """

    value: Any
    keys: dict[str, int] | None
    anchor: str | None
    first_node: int
    key: str | None = None
    dropped: bool = False
    height: int = 1

    def put(self, value: JsonValue) -> None:
        """Take in the next part; one that stands where a key should was refused, and so is its value."""
        if self.keys is None:
            self.value.append(value)
        elif self.key is None:
            self.key, self.dropped = "", True
        else:
            if not self.dropped:
                self.value[self.key] = value
            self.key, self.dropped = None, False


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A value that aliases may name, how many nodes it has and how many levels."""

    value: JsonValue
    size: int
    height: int


class _Builder:
    """Builds the value of one document from the parser's events, without recursion, and notes what it refuses."""

    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self.value: JsonValue = None
        self._source = source
        self._problems = problems
        self._documents = 0
        self._opened: list[_Open] = []
        self._nodes = 0
        self._aliases = 0
        self._anchors: dict[str, _Anchored | None] = {}
        self._take: dict[type, Callable[[_Event], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def read(self, text: str) -> None:
        """Take in every event; raise `InvalidFileError` where reading cannot go on, `yaml.YAMLError` at bad syntax."""
        next_event = cast("Callable[[], _Event | None]", yaml.CSafeLoader(text).get_event)
        for event in iter(next_event, None):
            take = self._take.get(type(event))
            if take is not None:
                take(event)
        if not self._documents:
            raise InvalidFileError(
                [Problem("MS108", "the file is empty", self._source.at(0), "write a 'key: value' line")]
            )

    def _document(self, event: _Event) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._end("MS104", "a second document begins here", "keep one document in a file", event)

    def _scalar(self, event: _Event) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._too_many(event)
        parent = self._opened[-1] if self._opened else None
        if parent is not None and parent.keys is not None and parent.key is None:
            self._take_key(event, parent, parent.keys)
            return
        value = self._scalar_value(event)
        if event.anchor:
            self._declare(event, event.anchor)
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._put(value, 0)

    def _scalar_value(self, event: _Event) -> JsonValue:
        if event.tag is not None:
            self._report(*_TAGGED, event)
            return None
        if event.style:
            return self._text(event)
        try:
            return core_value(event.value)
        except NotJsonSafeError as error:
            self._report("MS105", error.message, error.hint, event)
            return None

    def _text(self, event: _Event) -> str:
        """Give the text of a key or a quoted scalar; only escapes in double quotes can bring in what JSON refuses."""
        if event.style == '"' and (control := _CONTROL.search(event.value)):
            self._report("MS105", f"the text holds {_named(control[0])}", "remove the escape", event)
        return event.value

    def _take_key(self, event: _Event, parent: _Open, keys: dict[str, int]) -> None:
        key = parent.key = self._text(event)
        ordinary = key and key.isascii() and key != "<<" and event.tag is None and event.anchor is None
        fault = None if ordinary else _key_fault(event)
        if fault is None and key in keys:
            fault = ("MS102", f"duplicate key {_short(key)} (first at line {keys[key]})", "keep one of them")
        if fault is None:
            keys[key] = event.start_mark.line + 1
        else:
            self._report(*fault, event)
            parent.dropped = True

    def _open(self, event: _Event) -> None:
        self._count(1, event)
        self._check_depth(1, event)
        if event.tag is not None:
            self._report(*_TAGGED, event)
        if event.anchor:
            self._declare(event, event.anchor)
        self._refused_as_key(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        opened = _Open({}, {}, event.anchor, self._nodes) if is_mapping else _Open([], None, event.anchor, self._nodes)
        self._opened.append(opened)

    def _close(self, _: _Event) -> None:
        closed = self._opened.pop()
        if closed.anchor:
            size = self._nodes - closed.first_node + 1
            self._anchors[closed.anchor] = _Anchored(closed.value, size, closed.height)
        self._put(closed.value, closed.height)

    def _alias(self, event: _Event) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._end("MS109", f"more than {MAX_ALIASES} aliases", "write the values out", event)
        anchored = self._anchors.get(event.anchor or "")
        if self._refused_as_key(event):
            self._put(None, 0)
        elif anchored is None:
            why = "stands inside what it names" if event.anchor in self._anchors else "names no anchor above it"
            self._report(
                "MS104", f"alias '*{event.anchor}' {why}", "write the value out, or put the text in quotes", event
            )
            self._put(None, 0)
        else:
            self._count(anchored.size, event)
            self._check_depth(anchored.height, event)
            self._put(copy.deepcopy(anchored.value), anchored.height)

    def _put(self, value: JsonValue, height: int) -> None:
        if not self._opened:
            self.value = value
            return
        parent = self._opened[-1]
        if height >= parent.height:
            parent.height = height + 1
        parent.put(value)

    def _count(self, nodes: int, event: _Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._too_many(event)

    def _too_many(self, event: _Event) -> InvalidFileError:
        return self._end("MS109", f"more than {MAX_NODES} values", "keep large tables in files of their own", event)

    def _check_depth(self, height: int, event: _Event) -> None:
        if len(self._opened) + height > MAX_DEPTH:
            raise self._end("MS109", f"nested deeper than {MAX_DEPTH} levels", "flatten it", event)

    def _declare(self, event: _Event, anchor: str) -> None:
        if anchor in self._anchors:
            self._report("MS104", f"anchor '&{anchor}' is defined twice", "give each anchor its own name", event)
        if len(self._anchors) >= MAX_ALIASES:
            raise self._end("MS109", f"more than {MAX_ALIASES} anchors", "write the values out", event)
        self._anchors[anchor] = None

    def _refused_as_key(self, event: _Event) -> bool:
        parent = self._opened[-1] if self._opened else None
        is_key = parent is not None and parent.keys is not None and parent.key is None
        if is_key:
            self._report("MS104", "a key must be text", "write a name before ':', or put the text in quotes", event)
        return is_key

    def _report(self, code: str, message: str, todo: str, event: _Event) -> None:
        self._problems.append(self._problem(code, message, todo, event))
        if len(self._problems) >= MAX_PROBLEMS - 1:
            raise self._end("MS109", "reading ends here, after so many problems", "mend those above first", event)

    def _end(self, code: str, message: str, todo: str, event: _Event) -> InvalidFileError:
        return InvalidFileError([self._problem(code, message, todo, event)])

    def _problem(self, code: str, message: str, todo: str, event: _Event) -> Problem:
        return Problem(code, message, self._source.at(event.start_mark.index, event.end_mark.index), todo)


def _key_fault(event: _Event) -> tuple[str, str, str] | None:
    """Say what is wrong with a key that is empty, not plain ASCII, tagged, anchored or a merge."""
    if event.tag is not None:
        return _TAGGED
    if event.anchor:
        return "MS104", "a key cannot have an anchor", "remove it"
    if not event.style and event.value in _REFUSED_KEYS:
        return _REFUSED_KEYS[event.value]
    hidden = next((char for char in event.value if unicodedata.category(char) == "Cf"), None)
    return ("MS201", f"the key {_short(event.value)} holds {_named(hidden)}", "type it again") if hidden else None


def _named(char: str) -> str:
    return f"the invisible character U+{ord(char):04X}"


def _forbidden(source: Source, offset: int) -> Problem:
    return Problem("MS105", f"the file holds {_named(source.text[offset])}", source.at(offset), "remove it")


def _syntax_problem(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    """Put the parser's complaint into plain words, at the place that has to be mended."""
    words = str(error.problem)
    context = error.context_mark
    place = error.problem_mark.index if error.problem_mark else 0
    offset = context.index if words in _WRONG_FROM_THEIR_START and context else place
    char = source.text[place : place + 1]
    message, todo = _TAB if char == "\t" else _PLAIN_WORDS.get(words, (words, "check the YAML here"))
    code = "MS105" if words == _BAD_ESCAPE else "MS103"
    line = context.line + 1 if context else 0
    return Problem(code, message.format(char=char, line=line), source.at(offset), todo)
