"""Many files as one archive: made here without a copy on the disk, and unpacked without leaving the folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.errors import TransferError
from orchestrator.files import make_directory, refused, replace_file_by
from orchestrator.remote.contents import PIECE, pieces_of

MOST_BYTES = 100 * 1024**3
MOST_FILES = 100_000
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The digests of the files that came, by their paths, and the paths of links and the like that were left out."""

    sha256: Mapping[str, str]
    left_out: tuple[str, ...]


def archive(files: Mapping[str, Path | bytes], *, text_mode: int = 0o644) -> Iterator[bytes]:
    """Give an archive of files by their relative paths, piece by piece.

    Files of this machine keep their modes and times; what is given as bytes gets ``text_mode``. Raises `TransferError`
    for a path that leads elsewhere, and `InfrastructureError` for a file that cannot be read.
    """
    for name in files:
        _safe(name)
    return _together(_parts(files, text_mode))


def archive_size(files: Mapping[str, Path | bytes]) -> int:
    """Give the bytes of the archive of files; raises `InfrastructureError` for a file that cannot be read."""
    entries = [_entry(name, source, 0) for name, source in files.items()]
    contents = sum(entry.size + -entry.size % tarfile.BLOCKSIZE for entry in entries)
    return sum(len(_header(entry)) for entry in entries) + contents + len(_END)


def unpack(pieces: Iterable[bytes], folder: Path, *, most_bytes: int, most_files: int) -> Fetched:
    """Write the files of an archive into a folder, each of them whole.

    Raises `TransferError` for a path that leads out of the folder and for more than was allowed, and
    `InfrastructureError` where the disk refuses.
    """
    reader = _Reader(pieces, most_bytes)
    digests: dict[str, str] = {}
    left_out = []
    try:
        with tarfile.open(fileobj=reader, mode="r|", bufsize=PIECE) as archive:
            for number, member in enumerate(archive):
                if number >= most_files:
                    raise _hostile(f"more than {most_files} files")
                name = _safe(member.name)
                if member.isreg():
                    digests[name] = _write(archive, member, folder, name)
                elif not member.isdir():
                    left_out.append(name)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise TransferError("the archive is damaged", hint="fetch again") from error
    return Fetched(sha256=digests, left_out=tuple(left_out))


def _parts(files: Mapping[str, Path | bytes], text_mode: int) -> Iterator[bytes]:
    for name, source in files.items():
        entry = _entry(name, source, text_mode)
        yield _header(entry)
        yield from pieces_of(source)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield _END


def _together(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Give small parts together, so that they are not sent one by one."""
    kept = bytearray()
    for part in parts:
        kept += part
        if len(kept) >= PIECE:
            yield bytes(kept)
            kept.clear()
    yield bytes(kept)


def _entry(name: str, source: Path | bytes, text_mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    if isinstance(source, bytes):
        entry.size, entry.mode = len(source), text_mode
        return entry
    try:
        found = source.stat()
    except OSError as error:
        raise refused(error, f"read {source}") from error
    entry.size, entry.mode, entry.mtime = found.st_size, found.st_mode & 0o777, int(found.st_mtime)
    return entry


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> str:
    """Write one file and give its digest."""
    path = folder / name
    make_directory(path.parent)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise _hostile(f"a link leads out of the folder: {name!r}")
    digest = hashlib.sha256()
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.ReadError(name)

    def content() -> Iterator[bytes]:
        left = member.size
        while left:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise tarfile.ReadError(name)
            left -= len(piece)
            digest.update(piece)
            yield piece

    replace_file_by(path, content(), 0o755 if member.mode & 0o100 else 0o644)
    return digest.hexdigest()


def _safe(name: str) -> str:
    """Give a path without its leading ``./``; raise `TransferError` for one that leads elsewhere."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise _hostile(f"a path leads out of the folder: {name!r}")
    return str(PurePosixPath(*parts))


def _hostile(message: str) -> TransferError:
    return TransferError(message, hint="see what is there; nothing was written outside the folder", is_hostile=True)


class _Reader(io.RawIOBase):
    """The pieces as a file; more bytes than are allowed raise `TransferError`."""

    def __init__(self, pieces: Iterable[bytes], most_bytes: int) -> None:
        self._pieces = iter(pieces)
        self._kept = b""
        self._most = most_bytes
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """Give so many bytes, or fewer at the end."""
        kept = bytearray(self._kept)
        while len(kept) < size and (piece := next(self._pieces, None)) is not None:
            kept += piece
            self._read += len(piece)
            if self._read > self._most:
                raise _hostile(f"more than {self._most} bytes")
        self._kept = bytes(kept[size:])
        return bytes(kept[:size])
