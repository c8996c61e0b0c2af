"""Search files for secrets, however large they are and whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.secrecy import Masker

_OVERLAP = 1 << 16
_CHUNK = 1 << 22


def leaks_in_files(folder: Path, masker: Masker) -> Iterator[str]:
    """Say of each file below a folder where secrets stand in it, or in its name; links are not followed."""
    if not masker.is_needed:
        return
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(folder)
        if masker.finds(str(name)):
            yield f"{masker.mask(str(name))}: a secret is in its name"
        yield from (f"{name}: a secret at byte {offset}" for offset in leaks_in_file(path, masker))


def has_leak(path: Path, masker: Masker) -> bool:
    """Tell whether a secret is in a file."""
    return next(leaks_in_file(path, masker), None) is not None


def leaks_in_file(path: Path, masker: Masker) -> Iterator[int]:
    """Give the bytes of a file at which secrets begin; it is searched in pieces that overlap."""
    before, offset, told = b"", 0, -1
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            content = before + chunk
            start = offset - len(before)
            for place in masker.places(content):
                if start + place > told:
                    told = start + place
                    yield told
            offset += len(chunk)
            before = content[-_OVERLAP:]
