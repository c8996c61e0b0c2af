"""What is sent and fetched: bytes in pieces, with a size and a digest that the other side knows too."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import TransferError
from orchestrator.files import refused

PIECE = 1 << 15
_LONGEST_HEAD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes that are read as often as they are needed; ``sha256`` is in hexadecimal."""

    size: int
    sha256: str
    pieces: Callable[[], Iterator[bytes]]


def content_of(source: Path | bytes) -> Content:
    """Give a file, or bytes, as what is sent; raises `InfrastructureError` where the file cannot be read."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces_of(source):
        digest.update(piece)
        size += len(piece)
    return Content(size=size, sha256=digest.hexdigest(), pieces=lambda: pieces_of(source))


def pieces_of(source: Path | bytes) -> Iterator[bytes]:
    """Give a file, or bytes, piece by piece; raises `InfrastructureError` where the file cannot be read."""
    if isinstance(source, bytes):
        for start in range(0, len(source), PIECE):
            yield source[start : start + PIECE]
        return
    try:
        with source.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise refused(error, f"read {source}") from error


def verified(answer: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    """Give the pieces of a file that came after a line with its size and digest.

    ``check`` is called once all has come, and raises where the other side failed. Raises `TransferError` where what
    came is not what the line says.
    """
    head, digest, size = b"", hashlib.sha256(), 0
    is_head = True
    for piece in answer:
        if is_head:
            head, found, rest = (head + piece).partition(b"\n")
            is_head = not found and len(head) < _LONGEST_HEAD
        else:
            rest = piece
        digest.update(rest)
        size += len(rest)
        yield rest
    check()
    if head.split() != [str(size).encode(), digest.hexdigest().encode()]:
        hint = "it is still being written there, or was changed on the way: fetch it again"
        raise TransferError("another size or sha256 arrived than was said", hint=hint)
