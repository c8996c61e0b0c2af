"""Write canonical JSON (RFC 8785), also of documents that are too large to be in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import rfc8785

from orchestrator.errors import NotJsonSafeError


def canonical(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Give the one spelling of a JSON value; raise `NotJsonSafeError` for a number that JSON does not carry."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise NotJsonSafeError(f"a recorded value has no canonical JSON: {error}") from error


def line(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Give a value as a line of its own."""
    return canonical(value) + b"\n"


def streamed(parts: Mapping[str, Any]) -> Iterator[bytes]:
    """Give an object piece by piece; parts that are iterators of bytes are JSON already, and taken as they come."""
    for number, name in enumerate(sorted(parts)):
        yield (b"," if number else b"{") + canonical(name) + b":"
        part = parts[name]
        if isinstance(part, Iterator):
            yield from part
        else:
            yield canonical(part)
    yield b"}" if parts else b"{}"


def members(pairs: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    """Give an object of many members piece by piece; they come in the order of their names, which are ASCII."""
    before = b"{"
    for name, value in pairs:
        yield before + canonical(name) + b":" + canonical(value)
        before = b","
    yield b"}" if before == b"," else b"{}"
