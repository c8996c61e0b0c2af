"""Put a POSIX script to whatever login shell there is, and find its answer in whatever that shell prints.

The program that the login shell starts is one line that every shell reads alike. It takes the script from standard
input as one line of plain ASCII; what follows on standard input is the script's own. The script first writes a mark
that nobody can guess to both of its outputs: what stands before it came from the login.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from dataclasses import dataclass

PROGRAM = 'IFS= read -r MS_SCRIPT && eval "$(printf %b "$MS_SCRIPT")"'
COMMAND = f"exec /bin/sh -c '{PROGRAM}'"

_MOST_BEFORE = 1 << 20
_NOT_PLAIN = re.compile(rb"[^ -\[\]-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit code, what it wrote to standard error, and whether it began at all."""

    exit_code: int
    stderr: str
    has_begun: bool = True


def new_mark() -> bytes:
    """Give a mark for one command."""
    return f"ms-{os.urandom(9).hex()}\n".encode()


def script_line(script: str, mark: bytes) -> bytes:
    """Give the line that carries a script; names in it that are no UTF-8 are kept."""
    word = mark.decode().strip()
    whole = f"unset MS_SCRIPT\necho {word}\necho {word} >&2\n{script}"
    return _NOT_PLAIN.sub(_escaped, whole.encode("utf-8", "surrogateescape")) + b"\n"


def unframed(pieces: Generator[bytes, None, Ended], mark: bytes) -> Generator[bytes, None, Ended]:
    """Give what came after the mark on standard output, and at the end also on standard error alone."""
    before = b""
    has_begun = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            ended: Ended = end.value
            stderr = ended.stderr.rpartition(mark.decode())[2]
            said = stderr if has_begun else f"{before.decode('utf-8', 'replace')}{stderr}"
            return Ended(exit_code=ended.exit_code, stderr=said, has_begun=has_begun)
        if not has_begun:
            before, found, piece = (before + piece).partition(mark)
            has_begun = bool(found)
            before = before[-_MOST_BEFORE:]
        if piece:
            yield piece


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\0%03o" % match[0][0]
