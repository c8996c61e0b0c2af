"""Keep the attempts of a run within its budget of core-hours."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core_hours import asked_by, core_seconds, cores_of, exceeds, told
from orchestrator.driver.conclusion import Conclusion
from orchestrator.driver.run import Run
from orchestrator.errors import UsageError
from orchestrator.frames import Task
from orchestrator.plan.demand import UNLIMITED_CODE
from orchestrator.progress import Remark
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.queries import read_open_attempts
from orchestrator.store.runs import set_task_states
from orchestrator.store.spending import read_core_seconds

SPENT_CODE = "MS310"
_WAITS = "it begins once these have ended, if they leave enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Charge:
    """What an attempt under way was charged with."""

    cores: float
    asked: float


class Budget:
    """What the attempts of one run have cost: those that ended what they used, those under way what they asked for.

    It is summed up from the records of the run when that is taken over, and only where its recipe has a budget.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        budget = run.plan.recipe.budget
        self._allowed = None if budget is None else core_seconds(budget.core_hours)
        self._spent = 0.0
        self._charges: dict[str, _Charge] = {}
        self._waiting: dict[int, float] = {}
        self._told: set[int] = set()

    def begin(self) -> None:
        """Sum up what was spent so far."""
        if self._allowed is None:
            return
        self._spent = read_core_seconds(self._run.database)
        for row in read_open_attempts(self._run.database):
            if work := row.operator_data.get("work"):
                self._charges[row.attempt_id] = _charge(work)

    def has_room(self, task: Task, work: Mapping[str, Any] | None) -> bool:
        """Tell whether what an operator is to do for a task costs no more than is left; else the task waits.

        Raises `UsageError` where it would be too much even if the attempts under way cost nothing.
        """
        if self._allowed is None or work is None:
            return True
        asked = asked_by(work)
        if asked is None:
            message = "nothing limits its time, so that its core-hours are not known, and there is a budget"
            raise UsageError(message, hint="add 'resources: {time_limit: 1h}' to it", code=UNLIMITED_CODE)
        if not asked or not exceeds(self._spent + asked, self._allowed):
            return True
        if exceeds(self._spent - self._under_way + asked, self._allowed):
            raise UsageError(self._refusal(asked, self._allowed), code=SPENT_CODE)
        if task.position not in self._told:
            self._tell_that_it_waits(task, self._spending(asked, self._allowed))
        self._waiting[task.position] = asked
        return False

    def take_ready(self) -> list[int]:
        """Give the tasks of those that wait for which there is room now, or never will be."""
        allowed, room = self._allowed or 0.0, (self._allowed or 0.0) - self._spent
        ready = []
        for position, asked in self._waiting.items():
            if not exceeds(asked, room):
                room -= asked
                ready.append(position)
            elif exceeds(self._spent - self._under_way + asked, allowed):
                ready.append(position)
        for position in ready:
            del self._waiting[position]
        return ready

    def charge(self, attempt_id: str, work: Mapping[str, Any] | None) -> None:
        """Count what an attempt asks for that begins."""
        if self._allowed is not None and work is not None:
            charge = self._charges[attempt_id] = _charge(work)
            self._spent += charge.asked

    def settle(self, conclusion: Conclusion) -> None:
        """Count what an attempt used that has ended; one lost from sight may have used all that it asked for."""
        charge, duration_sec = self._charges.pop(conclusion.done.attempt_id, None), conclusion.done.duration_sec
        if charge and (duration_sec or conclusion.status is not AttemptState.LOST):
            self._spent += charge.cores * duration_sec - charge.asked

    def _tell_that_it_waits(self, task: Task, why: str) -> None:
        """Record for each task why it waits, and say it of the first alone."""
        self._told.add(task.position)
        set_task_states(self._run.database, [task.task_id], TaskState.PENDING, f"waits for the budget: {why}")
        if not self._waiting:
            self._run.news.tell(Remark(text=f"{task.task_id} waits: {why}", todo=_WAITS))

    @property
    def _under_way(self) -> float:
        """Give what attempts under way may yet cost."""
        return sum(charge.asked for charge in self._charges.values())

    def _spending(self, asked: float, allowed: float) -> str:
        under_way = f", {told(self._under_way)} of them by attempts under way" if self._under_way else ""
        return (
            f"it asks for {told(asked)} core-hours, and {told(self._spent)} of the {told(allowed)} in the budget are"
            f" spent{under_way}"
        )

    def _refusal(self, asked: float, allowed: float) -> str:
        recipe = shlex.quote(Path(self._run.plan.source.name).name)
        return (
            f"{self._spending(asked, allowed)}; raise budget.core_hours in {recipe}, then:"
            f" matterstack retry {self._run.database.run_root.name} --accept-recipe-change"
        )


def _charge(work: Mapping[str, Any]) -> _Charge:
    return _Charge(cores=cores_of(work["resources"]) if "resources" in work else 0.0, asked=asked_by(work) or 0.0)
