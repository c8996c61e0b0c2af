"""Find what a new run goes by of the runs before it: what failed, what they knew, and what was left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import NothingSelectedError, StoreError, UsageError
from orchestrator.jsonsafe import JsonValue
from orchestrator.paths import runs_of_workspace
from orchestrator.plan import Selection
from orchestrator.progress import Reporter, RunLeftBehind
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import reading
from orchestrator.store.finding import failed_runs
from orchestrator.store.leases import is_let_go
from orchestrator.store.queries import read_inputs, read_run, read_tasks

FAILED_LAST = "status:failed@last"
LAST_FAILED = "status:failed@last-failed"


def with_failed(selection: Selection, workspace: Path) -> Selection:
    """Put the steps that failed in an earlier run in the place of the word that stands for them."""
    word = _failed_word(selection)
    if not word:
        return selection
    last = _earlier_run(selection, workspace)
    if last is None:
        raise UsageError(f"--only {word}: there is no earlier run that it names", hint="run the recipe first")
    with reading(last) as database:
        failed = [row.step for row in read_tasks(database) if row.status in (TaskState.FAILED, TaskState.BLOCKED)]
    if not failed:
        raise NothingSelectedError(f"--only {word}: nothing failed in run {last.name}", hint="leave it out")
    others = tuple(name for name in selection.only if name != word)
    return dataclasses.replace(selection, only=(*dict.fromkeys((*others, *failed)),))


def _failed_word(selection: Selection) -> str:
    """Give the word of a selection that stands for what failed in an earlier run; none is ''."""
    return next((word for word in (FAILED_LAST, LAST_FAILED) if word in selection.only), "")


def _earlier_run(selection: Selection, workspace: Path) -> Path | None:
    """Give the run of a workspace that a selection goes by: the last one, or the last one that failed."""
    runs = runs_of_workspace(workspace)
    return next(iter(failed_runs(runs) if LAST_FAILED in selection.only else runs), None)


def inherited(selection: Selection, workspace: Path) -> dict[str, JsonValue]:
    """Give the context of the run that a selection goes by, where the start is in the middle of the recipe."""
    option = _inheriting(selection)
    if not option:
        return {}
    last = _earlier_run(selection, workspace)
    if last is None:
        raise UsageError(
            f"{option}: {workspace.name!r} has no earlier run to take values from",
            hint="run the recipe from its beginning, or give --ctx FILE",
        )
    with reading(last) as database:
        return {change.key: change.value for change in read_context(database)}


def _inheriting(selection: Selection) -> str:
    """Give the option for which a run begins with the values of the one before."""
    if word := _failed_word(selection):
        return f"--only {word}"
    return f"--resume-from {selection.resume_from[0]}" if selection.resume_from else ""


def interrupted_run(workspace: Path, started_with: Mapping[str, Any]) -> Path | None:
    """Find the newest run of a workspace that was started the same way and has not ended, or not told its end."""
    for root in runs_of_workspace(workspace):
        with suppress(StoreError), reading(root) as database:
            status = read_run(database).status
            is_waiting = status not in ENDED_RUNS or not is_let_go(database)
            if is_waiting and status is not RunState.PAUSED and started_with.items() <= read_inputs(database).items():
                return root
    return None


def tell_of_unfinished(workspace: Path, reporter: Reporter) -> None:
    """Say which run is left behind when another is begun."""
    for root in runs_of_workspace(workspace):
        try:
            with reading(root) as database:
                status: str = read_run(database).status
        except StoreError as error:
            status = error.message
        if status not in ENDED_RUNS:
            reporter.tell(RunLeftBehind(run_id=root.name, status=status))
            return
