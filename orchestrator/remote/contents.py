"""What is sent and fetched: bytes in pieces, with a size and a digest that the other side knows too."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from orchestrator.errors import TransferError
from orchestrator.files import refused

PIECE = 1 << 15
CHANGED = "it is still being written there, or was changed on the way: fetch it again"
_LONGEST_HEAD = 200
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_MOST_DIGESTS_BYTES = 64 * 1024 * 1024
_ESCAPED = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


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
        raise TransferError("another size or sha256 arrived than was said", hint=CHANGED)


def apart(answer: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Give the lines before the first empty one, and the pieces after it; what has no such line is all lines.

    Raises `TransferError` for more lines than many files have.
    """
    pieces = iter(answer)
    head, seen = bytearray(b"\n"), 0
    while (end := head.find(b"\n\n", seen)) < 0:
        seen = len(head) - 1
        piece = next(pieces, None)
        if piece is None:
            return bytes(head[1:]), iter(())
        head += piece
        if len(head) > _MOST_DIGESTS_BYTES:
            raise TransferError("the digests of files do not end", hint="see what the login prints", is_hostile=True)
    return bytes(head[1 : end + 1]), chain([bytes(head[end + 2 :])], pieces)


def read_digests(lines: bytes) -> dict[str, str]:
    """Read what ``sha256sum`` prints, and give the digests by the names of the files, without their ``./``."""
    digests = {}
    for line in lines.split(b"\n"):
        sha256, _, name = line.lstrip(b"\\").partition(b"  ")
        if line.startswith(b"\\"):
            name = _ESCAPE.sub(lambda found: _ESCAPED.get(found[0], found[0]), name)
        digests[str(PurePosixPath(os.fsdecode(name)))] = sha256.decode("ascii", "replace")
    return digests


def digest_lines(digests: Mapping[str, str]) -> bytes:
    """Give what ``sha256sum -c`` reads, of digests by the names of files."""
    lines = []
    for name, sha256 in digests.items():
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(os.fsencode(f"{'' if escaped == name else chr(92)}{sha256}  ./{escaped}\n"))
    return b"".join(lines)
