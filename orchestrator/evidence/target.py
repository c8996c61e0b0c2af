"""See that an evidence takes the place of nothing but an evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.evidence.folder import MANIFEST_NAME, SIGNATURES

_DIGEST_AND_BLANKS = 66


def check_target(path: Path) -> None:
    """Refuse a place that holds anything else than an evidence and its signatures; raises `UsageError`."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"{path} is no directory", hint="name one with --output")
    if path.is_dir() and (foreign := next(_foreign(path), None)):
        message = f"{path} holds {foreign}, which is no part of an evidence"
        raise UsageError(message, hint="move it away, or name another directory with --output")


def _foreign(path: Path) -> Iterator[str]:
    listed = {MANIFEST_NAME, *_listed(path / MANIFEST_NAME)}
    for found in sorted(path.rglob("*")):
        name = found.relative_to(path).as_posix()
        is_folder = found.is_dir() and not found.is_symlink()
        if not is_folder and name not in listed and not name.startswith(SIGNATURES):
            yield name


def _listed(manifest: Path) -> Iterator[str]:
    if manifest.is_file():
        lines = manifest.read_text(encoding="utf-8", errors="replace").splitlines()
        yield from (line[_DIGEST_AND_BLANKS:] for line in lines)
