"""Find what an attempt left in the run directory, wherever the version that made the attempt put it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.store.queries import AttemptRow

_LOG_CAP = 1 << 20
_EXIT_CAP = 32
_FIRST_LAYOUT = "operators/"  # where version 1 of the state file kept the files of its operators


def with_files(attempt: AttemptRow, run_root: Path) -> AttemptRow:
    """Give an attempt with the output and the exit status in its directory, where the records have neither.

    Of a long output the last megabyte is read.
    """
    if attempt.relative_path is None or attempt.stdout or attempt.stderr:
        return attempt
    texts = {name: _text_in(attempt, run_root, name, _LOG_CAP) for name in ("stdout.log", "stderr.log")}
    code = _text_in(attempt, run_root, "exit_code", _EXIT_CAP).strip()
    status = int(code) if attempt.exit_code is None and code.lstrip("-").isdecimal() else attempt.exit_code
    return replace(attempt, stdout=texts["stdout.log"], stderr=texts["stderr.log"], exit_code=status)


def _text_in(attempt: AttemptRow, run_root: Path, name: str, cap: int) -> str:
    """Give the end of the first file of a name among the attempt's folders; nothing where there is none."""
    for folder in _folders(attempt, run_root):
        path = folder / name
        if path.is_file() and path.resolve().is_relative_to(run_root.resolve()):
            return _end_of(path, cap)
    return ""


def _folders(attempt: AttemptRow, run_root: Path) -> Iterator[Path]:
    """Give the folders in which an attempt's files may lie, that which its operator brought back first."""
    own = attempt.relative_path or ""
    if own.startswith(_FIRST_LAYOUT):
        yield run_root / own / attempt.task_id
        yield run_root / attempt.task_id
    yield run_root / own


def _end_of(path: Path, cap: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - cap))
            return file.read(cap).decode(errors="replace")
    except OSError:  # what cannot be read has nothing to show; the records say how the attempt ended
        return ""
