"""Follow the attempts of one run that operators carry out: hand them over, see how they go, and record that."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from typing import Any

from orchestrator.clock import jittered
from orchestrator.invoke import happen
from orchestrator.operators.assignments import Assignment, Sighting, assignment_of
from orchestrator.operators.crew import Crew
from orchestrator.states import AttemptState
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow
from orchestrator.wiring.keys import kind_of
from orchestrator.workers.calls import Done

# So often a task is attempted again whose attempts were lost, by no fault of its own.
MAX_LOSSES = 5
# The first loss is made good at once. What loses the next attempt too, such as a full disk, has its time to pass: each
# pause is four times the one before.
LOSS_DELAY_SEC, MOST_LOSS_DELAY_SEC = 30.0, 1800.0
LOSS_DELAY_VARIABLE = "MATTERSTACK_LOSS_DELAY"
# An operator may not have been told of these when a runner died.
_MAY_BE_UNBEGUN = frozenset({AttemptState.CREATED, AttemptState.SUBMITTING})
# People and instruments are told once more, since what they were told lies where somebody can remove it.
_TOLD_AGAIN = frozenset({"human", "experiment"})


def is_begun(row: AttemptRow) -> bool:
    """Tell whether the operator of an attempt was told of it for sure and need not be told again."""
    return row.status not in _MAY_BE_UNBEGUN and kind_of(row.operator_key or "") not in _TOLD_AGAIN


class Errands:
    """The attempts that operators have, from the moment when the intent is durable until the end was seen."""

    def __init__(self, database: Database, crew: Crew) -> None:
        self._database = database
        self._crew = crew
        self._waiting: list[tuple[Assignment, float | None]] = []
        self._submitted: set[str] = set()
        self._adopted: set[str] = set()
        self._cancelled: set[str] = set()
        self._news: list[Sighting] = []
        self._losses: dict[int, int] = {}
        self.left_behind: tuple[Assignment, ...] = ()

    @property
    def assignments(self) -> Mapping[str, Assignment]:
        """Give the attempts that operators have, by attempt, oldest first."""
        return self._crew.assignments

    @property
    def has_news(self) -> bool:
        """Tell whether something was seen that is to be recorded."""
        return bool(self._news)

    def prepare(self, row: AttemptRow, env: Mapping[str, str]) -> None:
        """Take an attempt that was opened, to hand it over when that is durable."""
        assignment = assignment_of(self._database, row, env)
        self._waiting.append((assignment, assignment.work.get("timeout_sec")))

    def adopt(self, row: AttemptRow, env: Mapping[str, str]) -> None:
        """Take an attempt over that an earlier runner opened: its operator follows it, or makes sure it was begun."""
        assignment = assignment_of(self._database, row, env)
        if row.status is not AttemptState.SUBMITTING:
            self._submitted.add(row.attempt_id)
        self._adopted.add(row.attempt_id)
        self._crew.hand_over(assignment, timeout_sec=_time_left(assignment), is_begun=is_begun(row))
        if assignment.cancel_asked:
            self._cancelled.add(row.attempt_id)
            self._crew.cancel([row.attempt_id], assignment.cancel_asked)

    def hand_over(self) -> None:
        """Give operators what was prepared for them."""
        waiting, self._waiting = self._waiting, []
        for assignment, timeout_sec in waiting:
            self._crew.hand_over(assignment, timeout_sec=timeout_sec)
        self._crew.send()

    def look(self, known: Container[str]) -> list[Done]:
        """Take what operators have seen of ``known`` attempts; return those that ended. The next runner sees the rest.

        What is seen of others goes into the news.
        """
        seen = [one for one in self._crew.sightings() if one.attempt_id in known]
        self._news += [one for one in seen if one.done is None]
        return [one.done for one in seen if one.done is not None]

    def take_news(self) -> list[Sighting]:
        """Give what was seen of attempts that go on, or that could not be begun."""
        news, self._news = self._news, []
        return news

    def record(self, task_id: str, sighting: Sighting) -> None:
        """Record where an attempt stands."""
        happening = "attempt.active"
        if sighting.attempt_id not in self._submitted:
            happening = "attempt.submitting" if sighting.attempt_id in self._adopted else "attempt.created"
        self._submitted.add(sighting.attempt_id)
        happen(happening, {**self._which(task_id, sighting.attempt_id), "sighting": sighting.to_json()})

    def cancel(self, fault: str, is_needless: Callable[[str], bool]) -> None:
        """Ask operators to end attempts that nobody needs any more; each is told of as one that ``fault`` ended."""
        assignments = self.assignments
        needless = [one for one in assignments if one not in self._cancelled and is_needless(one)]
        if not needless:
            return
        with self._database.transaction():
            for one in needless:
                which = self._which(assignments[one].task_id, one)
                happen("attempt.unwanted", {**which, "fault": fault, "is_passed_on": True})
        self._cancelled.update(needless)
        self._crew.cancel(needless, fault)

    def _which(self, task_id: str, attempt_id: str) -> dict[str, Any]:
        return {"run_root": str(self._database.run_root), "task_id": task_id, "attempt_id": attempt_id}

    def delay_after_loss(self, position: int) -> float | None:
        """Give the seconds until a task is attempted again whose attempt was lost; None after too many losses."""
        losses = self._losses[position] = self._losses.get(position, 0) + 1
        if losses > MAX_LOSSES:
            return None
        first_sec = float(os.environ.get(LOSS_DELAY_VARIABLE, LOSS_DELAY_SEC))
        delay_sec = 0.0 if losses == 1 else min(first_sec * 4 ** (losses - 2), MOST_LOSS_DELAY_SEC)
        return jittered(delay_sec)

    def leave(self) -> None:
        """Let what operators have go on for the next runner, which sees for itself where they stand."""
        self.left_behind = (*self.left_behind, *self.assignments.values())
        self._crew.leave()
        self._news.clear()


def _time_left(assignment: Assignment) -> float | None:
    """Give the seconds that are left of those which an attempt may take; where a runner died, it went on meanwhile."""
    timeout_sec = assignment.work.get("timeout_sec")
    if timeout_sec is None:
        return None
    return max(0.0, float(timeout_sec) - assignment.age_sec)
