"""Hold an evidence while it is put together: what it is about, its files so far, and what was found wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.evidence.canonical import line
from orchestrator.evidence.folder import Folder, Written
from orchestrator.evidence.leaks import has_leak
from orchestrator.evidence.redaction import Redaction
from orchestrator.recipe.model import Recipe
from orchestrator.store.database import Database
from orchestrator.store.queries import RunRow
from orchestrator.wiring.kept import KeptWiring

# So many lines are in one file of lines; a full one does not change any more.
SEGMENT_LINES = 10_000


class FileState(StrEnum):
    """What became of a file that a run recorded or left."""

    KEPT = "kept"
    CHANGED = "changed"
    MISSING = "missing"
    REFUSED = "refused"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of an attempt: ``name`` in the attempt's directory, ``path`` in the evidence, where it is in it.

    ``sha256`` and ``size`` are those of the file in the evidence, ``recorded_sha256`` what the run had recorded.
    """

    task_id: str
    attempt_id: str
    name: str
    state: FileState
    path: str | None = None
    sha256: str | None = None
    size: int | None = None
    recorded_sha256: str | None = None
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A file of lines, and how many it has; of events, the hash before the first and that of the last."""

    file: str
    count: int
    first: str = ""
    last: str = ""


@dataclass(slots=True, kw_only=True)
class Draft:
    """An evidence that is being put together; each part adds its files, and what the bundle tells of them.

    ``recipe`` is None where it cannot be read any more, ``recipe_state`` where the run recorded none.
    """

    database: Database
    run: RunRow
    inputs: Mapping[str, Any]
    recipe: Recipe | None
    kept: KeptWiring | None
    is_complete: bool
    folder: Folder
    redaction: Redaction
    artifacts: list[Artifact] = field(default_factory=list)
    events: list[Segment] = field(default_factory=list)
    attempts: list[Segment] = field(default_factory=list)
    wiring_files: list[str] = field(default_factory=list)
    recipe_state: FileState | None = None

    @property
    def is_older(self) -> bool:
        """Tell whether MatterStack 0.2.x made the run."""
        return "legacy" in self.inputs

    def copy(self, name: str, chunks: Iterable[bytes]) -> tuple[Written, bool]:
        """Copy a file into the evidence; tell whether it was withheld, since a secret is in it."""
        written = self.folder.write(name, chunks)
        if not self.redaction.is_masking or not has_leak(self.folder.path / name, self.redaction.masker):
            return written, False
        self.redaction.hide(written.sha256)
        self.folder.remove(name)
        return self.withhold(name, written.size), True

    def withhold(self, name: str, size: int) -> Written:
        """Say in the place of a file how large it is."""
        self.redaction.files_withheld.append(name)
        return self.folder.write(name, [line({"withheld": True, "size": size})])

    def faults(self) -> dict[FileState, list[str]]:
        """Give the files that are not what the run recorded, as people are told of them."""
        found: dict[FileState, list[str]] = {state: [] for state in FileState}
        if self.recipe_state not in (None, FileState.KEPT):
            found[self.recipe_state].append("recipe.yaml")
        for artifact in self.artifacts:
            if artifact.state is not FileState.KEPT:
                found[artifact.state].append(f"{artifact.task_id}/{artifact.attempt_id}/{artifact.name}")
        return found
