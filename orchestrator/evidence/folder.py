"""Write the files of an evidence, and know the digest and the size of each from the bytes that went through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.files import remove_file, write_chunks

MANIFEST_NAME = "manifest-sha256.txt"
# What signs the manifest cannot be listed in it.
SIGNATURES = "sig/"
_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file of an evidence: its name with ``/`` between folders, its SHA-256, and how many bytes it has."""

    name: str
    sha256: str
    size: int


class Folder:
    """The files of an evidence that is being put together; each is written once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[str, str] = {}

    @property
    def count(self) -> int:
        """Give how many files there are so far."""
        return len(self._digests)

    def write(self, name: str, chunks: Iterable[bytes]) -> Written:
        """Write a file piece by piece; errors as in `write_chunks`."""
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in _gathered(chunks):
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        write_chunks(self.path / name, counted())
        self._digests[name] = digest.hexdigest()
        return Written(name=name, sha256=digest.hexdigest(), size=size)

    def remove(self, name: str) -> None:
        """Remove a file again."""
        remove_file(self.path / name)
        del self._digests[name]

    def write_manifest(self) -> str:
        """Write the digests of all files so far as ``sha256sum -c`` reads them; return the digest of that."""
        names = sorted(self._digests, key=str.encode)
        lines = (f"{self._digests[name]}  {name}\n".encode() for name in names)
        return self.write(MANIFEST_NAME, lines).sha256


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that each is worth a call of the system."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _BUFFER:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
