"""Copy the files of attempts that are evidence, and say which are gone or not what the run had recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.evidence.draft import Artifact, Draft, FileState
from orchestrator.evidence.reading import is_safe, opened_inside
from orchestrator.layout import EXIT_CODE, INSTRUCTIONS, MANIFEST, RESPONSE, RESPONSES, SCHEMA, SNAPSHOT, STDERR, STDOUT
from orchestrator.states import AttemptState
from orchestrator.store.attempt_files import folders_of
from orchestrator.store.pages import positions_with_files, read_attempts_briefly
from orchestrator.store.queries import AttemptRow, read_tasks

FOLDER = "artifacts"
# Beside the artifacts that an attempt declares, this is what its operator leaves in its directory.
_RECORDS = (EXIT_CODE, INSTRUCTIONS, MANIFEST, RESPONSE, SCHEMA, STDERR, STDOUT)
_RECORD_FOLDERS = (SNAPSHOT, RESPONSES)
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
    sources = {name: f"{place}/{name}" for name in (*recorded, *_records_in(directory))}
    if draft.is_older and "work" not in attempt.operator_data:
        sources = {**dict(_left_by_earlier(draft.database.run_root, attempt, place)), **sources}
    for name in sorted(sources):
        yield _copied(draft, attempt, sources[name], name, recorded.get(name))


def _left_by_earlier(run_root: Path, attempt: AttemptRow, place: str) -> Iterator[tuple[str, str]]:
    """Give the files of an attempt of MatterStack 0.2.x, by name, and where in the run directory each lies.

    It recorded where they lay on its machine, of which the names are left; some of them are copies in the snapshot of
    the configuration, which is evidence by itself.
    """
    outputs = attempt.operator_data.get("output_files")
    for name in sorted({*_RECORDS, *(outputs if isinstance(outputs, dict) else ())}):
        folders = [*folders_of(place, attempt.task_id)]
        found = next((folder for folder in folders if os.path.lexists(run_root / folder / name)), None)
        if found is not None:
            yield name, f"{found}/{name}"
        elif name not in _RECORDS and not os.path.lexists(run_root / place / _RECORD_FOLDERS[0] / name):
            yield name, f"{place}/{name}"


def _recorded(attempt: AttemptRow) -> dict[str, str | None]:
    """Give the names that must be in the attempt's directory, with the digest where one was recorded."""
    found: dict[str, str | None] = {}
    if isinstance(shown := attempt.params.get("instructions"), str) and attempt.operator_type == "human":
        found[INSTRUCTIONS] = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()
    for response in attempt.operator_data.get("responses", ()):
        name = str(response["file"])
        found[name if name == RESPONSE else f"{RESPONSES}/{name}"] = None
    for artifact in attempt.operator_data.get("artifacts", ()):
        found[str(artifact["path"])] = artifact.get("sha256")
    return found


def _records_in(directory: Path) -> Iterator[str]:
    """Give the names of the operator's records that there are; links are no records."""
    yield from (name for name in _RECORDS if os.path.lexists(directory / name))
    for below in _RECORD_FOLDERS:
        for folder, _, names in os.walk(directory / below):
            yield from ((Path(folder) / name).relative_to(directory).as_posix() for name in names)


def _copied(draft: Draft, attempt: AttemptRow, source: str, name: str, sha256: str | None) -> Artifact:
    if not is_safe(f"{folder_of(attempt)}/{name}"):
        return _artifact(attempt, name, FileState.REFUSED, recorded_sha256=sha256)
    try:
        with opened_inside(draft.database.run_root, source) as chunks:
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
