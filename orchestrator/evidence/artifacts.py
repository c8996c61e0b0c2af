"""Copy the files of attempts that are evidence, and say which are gone or not what the run had recorded."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from orchestrator.evidence.draft import Artifact, Draft, FileState
from orchestrator.evidence.leaks import has_leak
from orchestrator.evidence.reading import is_safe, opened_inside
from orchestrator.layout import (
    ANSWERED,
    EXIT_CODE,
    INSTRUCTIONS,
    MANIFEST,
    REFUSED,
    RESPONSE,
    RESPONSES,
    SCHEMA,
    SNAPSHOT,
    STDERR,
    STDOUT,
)
from orchestrator.secrecy import MASK
from orchestrator.states import AttemptState
from orchestrator.store.attempt_files import folders_of
from orchestrator.store.pages import positions_with_files, read_attempts_briefly
from orchestrator.store.queries import AttemptRow, read_tasks

FOLDER = "artifacts"
# Beside the artifacts that an attempt declares, this is what its operator leaves in its directory.
_RECORDS = (EXIT_CODE, INSTRUCTIONS, MANIFEST, RESPONSE, SCHEMA, STDERR, STDOUT)
_RECORD_FOLDERS = (SNAPSHOT, RESPONSES, REFUSED, ANSWERED)
# It names digests of others, so it is copied after those, of which some may have to be kept out.
_LAST = f"{SNAPSHOT}/{MANIFEST}"
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
    ordered = sorted(sources, key=lambda name: (name == _LAST, name))
    found = [_copied(draft, attempt, sources[name], name, recorded.get(name)) for name in ordered]
    yield from sorted(found, key=lambda artifact: artifact.name)


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
        found[name if name == RESPONSE or "/" in name else f"{RESPONSES}/{name}"] = response.get("sha256")
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
        return _not_found(draft, attempt, source.removesuffix(f"/{name}"), name, sha256)
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


def _not_found(draft: Draft, attempt: AttemptRow, place: str, name: str, sha256: str | None) -> Artifact:
    """Tell of a file that is not where it was recorded: it is gone, or a secret in its name was masked by the run."""
    unmasked = _unmasked(draft.database.run_root / place, name, _recorded(attempt))
    if unmasked is None:
        return _artifact(attempt, name, FileState.MISSING, recorded_sha256=sha256)
    is_leaking = draft.redaction.is_masking and has_leak(unmasked, draft.redaction.masker)
    if sha256 and is_leaking:
        draft.redaction.hide(sha256)
    written = draft.withhold(f"{folder_of(attempt)}/{name}", unmasked.stat().st_size)
    return _artifact(attempt, name, FileState.WITHHELD, path=written.name, sha256=written.sha256, size=written.size)


def _unmasked(directory: Path, name: str, known: Collection[str]) -> Path | None:
    """Give a file whose name is this one but for the secrets that stand where it has masks, and is not known itself."""
    if MASK not in name:
        return None
    fits = re.compile(".+".join(map(re.escape, name.split(MASK))), re.DOTALL).fullmatch
    files = (Path(folder) / one for folder, _, names in os.walk(directory) for one in names)
    named = ((file, file.relative_to(directory).as_posix()) for file in files)
    fitting = (file for file, found in named if found not in known and fits(found))
    return next((file for file in fitting if file.is_file() and not file.is_symlink()), None)


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
