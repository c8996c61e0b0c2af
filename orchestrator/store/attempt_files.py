"""Find what an attempt left in the run directory, wherever the version that made the attempt put it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.layout import EXIT_CODE, STDERR, STDOUT
from orchestrator.store.queries import AttemptRow

_TEXT_CAP = 1 << 20
_EXIT_STATUS = re.compile(r"\s*-?[0-9]{1,9}\s*")
_FIRST_LAYOUT = "operators/"  # where version 1 of the state file kept the files of its operators


def with_files(attempt: AttemptRow, run_root: Path) -> AttemptRow:
    """Give an attempt with the output and the exit status in its directory, where the records have neither.

    Of a long output the last megabyte is read.
    """
    if attempt.relative_path is None or attempt.stdout or attempt.stderr:
        return attempt
    stdout, stderr, code = (text_of(attempt, run_root, name) for name in (STDOUT, STDERR, EXIT_CODE))
    found = _EXIT_STATUS.fullmatch(code)
    status = int(code) if found and attempt.exit_code is None else attempt.exit_code
    return replace(attempt, stdout=stdout, stderr=stderr, exit_code=status)


def folder_of(attempt: AttemptRow, run_root: Path) -> Path | None:
    """Give the folder in the run directory that an attempt has recorded; None where it has recorded none."""
    folder = run_root / (attempt.relative_path or ".")
    return folder if attempt.relative_path and _is_within(folder, run_root) else None


def text_of(attempt: AttemptRow, run_root: Path, name: str) -> str:
    """Give the end of the first file of a name among the attempt's folders; nothing where there is none."""
    for folder in folders_of(attempt.relative_path or "", attempt.task_id):
        path = run_root / folder / name
        if path.is_file() and _is_within(path, run_root):
            return _end_of(path)
    return ""


def _is_within(path: Path, run_root: Path) -> bool:
    return path.resolve().is_relative_to(run_root.resolve())


def folders_of(relative_path: str, task_id: str) -> Iterator[str]:
    """Give the folders in the run directory where an attempt's files may lie, that which was brought back first."""
    if relative_path.startswith(_FIRST_LAYOUT):
        yield f"{relative_path}/{task_id}"
        yield task_id
    yield relative_path


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TEXT_CAP))
            return file.read(_TEXT_CAP).decode(errors="replace")
    except OSError:  # what cannot be read has nothing to show; the records say how the attempt ended
        return ""
