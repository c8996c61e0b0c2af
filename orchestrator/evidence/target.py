"""See that an evidence takes the place of nothing but an evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.evidence.folder import MANIFEST_NAME, SIGNATURES
from orchestrator.files import move_into_place

FORMER = "evidence-0.2"
_FORMER_NAMES = frozenset({"bundle.json", "report.md", "operators_snapshot"})
_DIGEST_AND_BLANKS = 66


def check_target(path: Path) -> None:
    """Refuse a place that holds anything else than an evidence and its signatures; raises `UsageError`."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"{path} is no directory", hint="name one with --output")
    if path.is_dir() and (foreign := next(_foreign(path), None)):
        message = f"{path} holds {foreign}, which is no part of an evidence"
        raise UsageError(message, hint="move it away, or name another directory with --output")


def set_aside(target: Path, run_root: Path) -> None:
    """Give an evidence that MatterStack 0.2.x wrote into its run another name, so that there is room for this one."""
    aside = run_root / FORMER
    names = {found.name for found in target.iterdir()} if target.is_dir() and not target.is_symlink() else set()
    is_former = {"bundle.json"} <= names <= _FORMER_NAMES and not os.path.lexists(aside)
    if is_former and target.parent.samefile(run_root):
        move_into_place(target, aside)


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
