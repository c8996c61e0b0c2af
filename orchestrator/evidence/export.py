"""Put the evidence of a run together, whole or not at all, from one state of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orchestrator.errors import StoreError, UsageError
from orchestrator.evidence.artifacts import write_artifacts
from orchestrator.evidence.attempts import write_attempts
from orchestrator.evidence.bundle import write_bundle
from orchestrator.evidence.context import write_context
from orchestrator.evidence.draft import Draft
from orchestrator.evidence.events import write_events
from orchestrator.evidence.folder import Folder
from orchestrator.evidence.leaks import leaks_in_files
from orchestrator.evidence.readme import write_readme, write_schemas
from orchestrator.evidence.recipe import write_recipe
from orchestrator.evidence.redaction import Redaction
from orchestrator.evidence.registered import Registered, registered_secrets
from orchestrator.evidence.report import write_report
from orchestrator.evidence.target import check_target, set_aside
from orchestrator.evidence.wiring import check_wiring, write_wiring
from orchestrator.files import replacing_directory
from orchestrator.recipe.model import Recipe
from orchestrator.states import ENDED_RUNS
from orchestrator.store.audit import history_fault
from orchestrator.store.database import Database, reading, update_legacy
from orchestrator.store.leases import is_let_go
from orchestrator.store.queries import has_legacy_tables, read_inputs, read_run
from orchestrator.store.wirings import read_kept

FOLDER = "evidence"
LEAK = "MS211"
_LEAKS_TOLD = 5

# What an evidence consists of, in the order in which it is written: the bundle tells of what comes before it, and
# events and attempts name digests of files and values that may have to be kept out.
PARTS: dict[str, Callable[[Draft], None]] = {
    "recipe": write_recipe,
    "wiring": write_wiring,
    "artifacts": write_artifacts,
    "context": write_context,
    "events": write_events,
    "attempts": write_attempts,
    "schemas": write_schemas,
    "readme": write_readme,
    "report": write_report,
    "bundle": write_bundle,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for: the run, where its evidence goes, which variables hold further secrets, whether to mask."""

    run_root: Path
    output: Path | None = None
    secret_env: Sequence[str] = ()
    redact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An evidence that is in its place; ``faults`` are its files that are not what the run recorded.

    ``unread`` says which secrets could not be looked for, and why.
    """

    path: Path
    run_id: str
    is_complete: bool
    files: int
    manifest_sha256: str
    events_head: str
    faults: dict[str, list[str]]
    unread: tuple[str, ...]


def export(request: Request) -> Exported:
    """Write the evidence of a run; the former one stays until the whole new one takes its place.

    Raises `UsageError` for a wiring that was tampered with (MS215), a secret that would be written down (MS211) and a
    place that holds something else, and `StoreError` (MS501) for records that do not hold.
    """
    target = (request.output or request.run_root / FOLDER).absolute()
    _make_room(request.run_root, target)
    check_target(target)
    check_wiring(request.run_root)
    with _one_state_of(request.run_root) as database:
        registered = registered_secrets(database, request.secret_env)
        with replacing_directory(target) as folder:
            redaction = Redaction(registered.values, is_masking=request.redact)
            draft = _draft(database, registered.recipe, Folder(folder), redaction)
            for write in PARTS.values():
                write(draft)
            manifest = draft.folder.write_manifest()
            _refuse_leaks(folder, redaction, is_masking=request.redact)
            return _exported(draft, target, manifest, registered)


def _make_room(run_root: Path, target: Path) -> None:
    """Bring a run of MatterStack 0.2.x up to date, so that its history stays the same, and keep its own evidence."""
    update_legacy(run_root)
    with reading(run_root) as database:
        is_older = has_legacy_tables(database)
    if is_older:
        set_aside(target, run_root)


@contextmanager
def _one_state_of(run_root: Path) -> Iterator[Database]:
    with reading(run_root) as database, database.one_state():
        if fault := history_fault(database):
            message = f"{database.path} was changed from outside: {fault}"
            raise StoreError(message, hint="restore a backup: what does not hold is no evidence")
        yield database


def _draft(database: Database, recipe: Recipe | None, folder: Folder, redaction: Redaction) -> Draft:
    run = read_run(database)
    return Draft(
        database=database,
        run=run,
        inputs=read_inputs(database),
        recipe=recipe,
        kept=read_kept(database),
        is_complete=run.status in ENDED_RUNS and is_let_go(database),
        folder=folder,
        redaction=redaction,
    )


def _refuse_leaks(folder: Path, redaction: Redaction, *, is_masking: bool) -> None:
    """Refuse files in which a secret is left, before anybody sees them; raises `UsageError` (MS211)."""
    found = list(islice(leaks_in_files(folder, redaction.masker), _LEAKS_TOLD + 1))
    if not found:
        return
    more = ", and more" if len(found) > _LEAKS_TOLD else ""
    hint = "take it out of what the run left" if is_masking else "add --redact, which masks it in a new evidence"
    raise UsageError(f"nothing was exported: {'; '.join(found[:_LEAKS_TOLD])}{more}", hint=hint, code=LEAK)


def _exported(draft: Draft, target: Path, manifest: str, registered: Registered) -> Exported:
    return Exported(
        path=target,
        run_id=draft.run.run_id,
        is_complete=draft.is_complete,
        files=draft.folder.count,
        manifest_sha256=manifest,
        events_head=draft.events[-1].last,
        faults={state.value: names for state, names in draft.faults().items()},
        unread=registered.unread,
    )
