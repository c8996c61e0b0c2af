"""Copy the files of attempts that are evidence, and say which are gone or not what the run had recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.evidence.draft import Artifact, Draft, FileState
from orchestrator.evidence.reading import opened_inside
from orchestrator.states import AttemptState
from orchestrator.store.pages import positions_with_files, read_attempts_briefly
from orchestrator.store.queries import AttemptRow, read_tasks

FOLDER = "artifacts"
# Beside the artifacts that an attempt declares, this is what its operator leaves in its directory.
_RECORDS = ("exit_code", "instructions.md", "manifest.json", "response.json", "schema.json", "stderr.log", "stdout.log")
_RECORD_FOLDERS = ("config_snapshot", "responses")
# The directory itself.
_ALL = "."
# The system's own table differs from machine to machine.
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


def write_artifacts(draft: Draft) -> None:
    """Write ``artifacts/<task>/<attempt>/…`` for every attempt that has a directory."""
    having = set(positions_with_files(draft.database))
    tasks = (task for task in read_tasks(draft.database) if task.position in having)
    for task in sorted(tasks, key=lambda task: task.task_id):
        for attempt in read_attempts_briefly(draft.database, task.position):
            if attempt.relative_path is not None:
                draft.artifacts += _of_attempt(draft, attempt, attempt.relative_path)


def folder_of(attempt: AttemptRow) -> str:
    """Give where in the evidence the files of an attempt are."""
    return f"{FOLDER}/{attempt.task_id}/{attempt.attempt_id}"


def _of_attempt(draft: Draft, attempt: AttemptRow, place: str) -> Iterator[Artifact]:
    recorded = _recorded(attempt)
    directory = draft.database.run_root / place
    if not directory.is_dir() and not recorded and attempt.status is AttemptState.COMPLETED:
        yield _artifact(attempt, _ALL, FileState.MISSING)
    for name in sorted({*recorded, *_records_in(directory)}):
        yield _copied(draft, attempt, place, name, recorded.get(name))


def _recorded(attempt: AttemptRow) -> dict[str, str | None]:
    """Give the names that must be in the attempt's directory, with the digest where one was recorded."""
    found: dict[str, str | None] = {}
    if isinstance(shown := attempt.params.get("instructions"), str) and attempt.operator_type == "human":
        found["instructions.md"] = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()
    for response in attempt.operator_data.get("responses", ()):
        name = str(response["file"])
        found[name if name == "response.json" else f"responses/{name}"] = None
    for artifact in attempt.operator_data.get("artifacts", ()):
        found[str(artifact["path"])] = artifact.get("sha256")
    return found


def _records_in(directory: Path) -> Iterator[str]:
    """Give the names of the operator's records that there are; links are no records."""
    yield from (name for name in _RECORDS if os.path.lexists(directory / name))
    for below in _RECORD_FOLDERS:
        for folder, _, names in os.walk(directory / below):
            yield from ((Path(folder) / name).relative_to(directory).as_posix() for name in names)


def _copied(draft: Draft, attempt: AttemptRow, place: str, name: str, sha256: str | None) -> Artifact:
    try:
        with opened_inside(draft.database.run_root, f"{place}/{name}") as chunks:
            written, is_withheld = draft.copy(f"{folder_of(attempt)}/{name}", chunks)
    except FileNotFoundError:
        return _artifact(attempt, name, FileState.MISSING, recorded_sha256=sha256)
    except OSError:
        return _artifact(attempt, name, FileState.REFUSED, recorded_sha256=sha256)
    if is_withheld:  # what was recorded of it would let its secret be guessed
        return _artifact(attempt, name, FileState.WITHHELD, path=written.name, sha256=written.sha256, size=written.size)
    return _artifact(
        attempt,
        name,
        FileState.CHANGED if sha256 not in (None, written.sha256) else FileState.KEPT,
        path=written.name,
        sha256=written.sha256,
        size=written.size,
        recorded_sha256=sha256,
    )


def _artifact(
    attempt: AttemptRow,
    name: str,
    state: FileState,
    *,
    path: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    recorded_sha256: str | None = None,
) -> Artifact:
    return Artifact(
        task_id=attempt.task_id,
        attempt_id=attempt.attempt_id,
        name=name,
        state=state,
        path=path,
        sha256=sha256,
        size=size,
        recorded_sha256=recorded_sha256,
        media_type=_MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream"),
    )
