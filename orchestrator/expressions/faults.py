"""Say what is wrong inside an expression, with the values involved written as expressions write them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import islice
from types import NoneType

from orchestrator.keys import did_you_mean

SHOWN = 60

_QUOTED = 200
_SUGGESTED_FROM = 1_000
_SUGGESTED_LENGTH = 200
_KINDS = {
    NoneType: "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a dict",
}


class FaultError(Exception):
    """What is wrong inside an expression; its values stay apart from ``text`` so that a secret is never written.

    ``text`` has one ``{}`` for each value, and ``node`` is where reading stopped. ``hint`` may be made of values too.
    """

    def __init__(self, text: str, *values: object, hint: str = "", node: ast.expr | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.values = values
        self.hint = hint
        self.node = node

    def told(self, *, is_secret: bool) -> str:
        """Give the message with each value, or with the kind of each where the expression reads secrets."""
        return self.text.format(*(kind(value) if is_secret else shown(value) for value in self.values))


def kind(value: object) -> str:
    """Name the kind of a value as in ``a list``."""
    return _KINDS.get(type(value), "a value")


def shown(value: object) -> str:
    """Write a value the way expressions write it, cut after 60 characters; a large one is not written out first."""
    text = ""
    for part in _written(value):
        text += part
        if len(text) > SHOWN:
            return text[: SHOWN - 1] + "…"
    return text


def quoted(text: str) -> str:
    """Give the text of an expression in quotes, cut after 200 characters."""
    bare = text.strip()
    return repr(bare if len(bare) <= _QUOTED else bare[:_QUOTED] + "…")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Give the hint that names the closest known name; of many or long ones, not all are looked at."""
    short = (key for key in islice(known, _SUGGESTED_FROM) if len(key) <= _SUGGESTED_LENGTH)
    return did_you_mean(name[:_SUGGESTED_LENGTH], short)


def _written(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        members = ((f"{key[:SHOWN]!r}: ", part) for key, part in value.items())
        yield from _bracketed("{", members, "}")
    elif isinstance(value, list):
        yield from _bracketed("[", (("", part) for part in value), "]")
    else:
        yield repr(value[: SHOWN + 1] if isinstance(value, str) else value)


def _bracketed(opening: str, members: Iterable[tuple[str, object]], closing: str) -> Iterator[str]:
    yield opening
    separator = ""
    for label, member in members:
        yield separator + label
        yield from _written(member)
        separator = ", "
    yield closing
