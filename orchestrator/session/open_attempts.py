"""End attempts of an earlier runner that are still open in the records of a run."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from orchestrator.errors import UsageError
from orchestrator.invoke import happen
from orchestrator.session.options import Again
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_open_attempts


def lose(database: Database, orphans: Iterable[AttemptRow]) -> None:
    """Record that the runner of attempts died with them, and give their tasks back."""
    lost = {"status": AttemptState.LOST, "task_status": TaskState.PENDING, "outcome": "runner died"}
    for orphan in orphans:
        which = {"task_id": orphan.task_id, "attempt_id": orphan.attempt_id}
        happen("attempt.exited", {"run_root": str(database.run_root), **which, **lost})


def close_open(database: Database, names: AbstractSet[str], again: Again) -> None:
    """End what operators have of tasks that run again; unless that is forced, such a task is refused."""
    for attempt in read_open_attempts(database):
        if attempt.task_id not in names or not attempt.is_external:
            continue
        if not again.force:
            is_question = attempt.status is AttemptState.WAITING_EXTERNAL
            what, first = ("waits for an answer", "answer it") if is_question else ("is under way", "let it end")
            hint = f"{first}, or end it with --force; see: matterstack explain {database.run_root.name}"
            raise UsageError(f"{attempt.task_id} {what}", hint=hint)
        end_open(database, attempt, again.reason)


def end_open(database: Database, attempt: AttemptRow, reason: str) -> None:
    """End an attempt that an operator has, and make its task pending: an answer to it counts no more."""
    which = {"run_root": str(database.run_root), "task_id": attempt.task_id, "attempt_id": attempt.attempt_id}
    happen("attempt.unwanted", {**which, "fault": reason})
    ended = {"status": AttemptState.CANCELLED, "task_status": TaskState.PENDING, "outcome": reason}
    happen("attempt.exited", {**which, **ended, "collected": None})
