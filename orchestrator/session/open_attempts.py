"""End attempts of an earlier runner that are still open in the records of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from orchestrator.errands import is_begun
from orchestrator.errors import UsageError
from orchestrator.invoke import happen
from orchestrator.judging import collected
from orchestrator.operators.assignments import Operator, Sighting, assignment_of
from orchestrator.operators.crew import Crew
from orchestrator.progress import Remark, Reporter
from orchestrator.session.options import Again
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_open_attempts
from orchestrator.wiring.keys import kind_of

_LOOKS_EVERY_SEC = 0.2

# Ends attempts that operators have, for a reason, and comes back when they have ended.
Ends = Callable[[Sequence[AttemptRow], str], None]


def lose(database: Database, orphans: Iterable[AttemptRow]) -> None:
    """Record that the runner of attempts died with them, and give their tasks back."""
    lost = {"status": AttemptState.LOST, "task_status": TaskState.PENDING, "outcome": "runner died"}
    for orphan in orphans:
        which = {"task_id": orphan.task_id, "attempt_id": orphan.attempt_id}
        happen("attempt.exited", {"run_root": str(database.run_root), **which, **lost})


def had_by_operators(database: Database, names: AbstractSet[str]) -> list[AttemptRow]:
    """Give the open attempts that operators have of some tasks."""
    return [row for row in read_open_attempts(database) if row.is_external and row.task_id in names]


def refuse_unless_forced(attempt: AttemptRow, again: Again, run_root: Path) -> None:
    """Refuse to let a task run again of which an operator has an attempt, unless that is forced."""
    if again.force:
        return
    is_question = attempt.status is AttemptState.WAITING_EXTERNAL
    what, first = ("waits for an answer", "answer it") if is_question else ("is under way", "let it end")
    hint = f"{first}, or end it with --force; see: matterstack explain {run_root.name}"
    raise UsageError(f"{attempt.task_id} {what}", hint=hint)


class Endings:
    """Ends attempts that operators have, so that their tasks can run again; what operators do is seen to its end.

    ``make`` gives the operator of a key. Once ``is_interrupted`` says so, `end` raises `KeyboardInterrupt`, and what
    has not ended then is ended by whoever goes on with the run.
    """

    def __init__(
        self,
        database: Database,
        make: Callable[[str], Operator],
        *,
        is_interrupted: Callable[[], bool],
        reporter: Reporter,
    ) -> None:
        self._database = database
        self._make = make
        self._is_interrupted = is_interrupted
        self._reporter = reporter

    def end(self, attempts: Sequence[AttemptRow], reason: str) -> None:
        """End attempts, and make their tasks pending; an answer to a question counts no more."""
        with self._database.transaction():
            for row in attempts:
                happen("attempt.unwanted", {**self._which(row), "fault": reason})
        left = {row.attempt_id: row for row in attempts}
        for row in attempts:
            if kind_of(row.operator_key or "") == "human":
                self._close(left.pop(row.attempt_id), reason)
        for sighting in self._ended_by_operators(list(left.values()), reason):
            self._close(left.pop(sighting.attempt_id), reason, sighting)

    def _ended_by_operators(self, attempts: Sequence[AttemptRow], reason: str) -> Iterator[Sighting]:
        """Have operators end attempts; give what they say of each once it has ended."""
        left, woken = {row.attempt_id for row in attempts}, threading.Event()
        crew = Crew(self._make, woken.set, has_threads=True)
        try:
            for row in attempts:
                crew.hand_over(replace(assignment_of(self._database, row), cancel_asked=reason), is_begun=is_begun(row))
                self._reporter.tell(Remark(text=f"{row.task_id} is under way", todo="it is ended first"))
            crew.cancel(left, reason)
            while left:
                for sighting in crew.sightings():
                    if sighting.remark:
                        self._reporter.tell(sighting.remark)
                    if sighting.done is not None or sighting.state is AttemptState.FAILED_INIT:
                        left.discard(sighting.attempt_id)
                        yield sighting
                if self._is_interrupted():
                    raise KeyboardInterrupt
                woken.wait(_LOOKS_EVERY_SEC)
                woken.clear()
        finally:
            crew.close()

    def _close(self, row: AttemptRow, reason: str, sighting: Sighting | None = None) -> None:
        left = collected(sighting.done) if sighting and sighting.done else None
        ended = {"status": AttemptState.CANCELLED, "task_status": TaskState.PENDING, "outcome": reason}
        happen("attempt.exited", {**self._which(row), **ended, "collected": left})

    def _which(self, row: AttemptRow) -> dict[str, str]:
        return {"run_root": str(self._database.run_root), "task_id": row.task_id, "attempt_id": row.attempt_id}
