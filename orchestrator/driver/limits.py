"""Keep the times by which a run, and the recipes that are used in it, must have ended."""

from __future__ import annotations

from orchestrator.clock import monotonic
from orchestrator.driver.run import Run
from orchestrator.frames import Task
from orchestrator.states import TaskState


class Limits:
    """The limits of one run, in the time of the clock."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._timeout_sec = run.plan.recipe.timeout
        self._deadline: float | None = None
        self._of_groups: dict[int, float] = {}
        self.has_expired = False

    def begin(self) -> None:
        """Let the time run, that of the run and that of the recipes which an earlier runner began to use."""
        self._deadline = None if self._timeout_sec is None else monotonic() + self._timeout_sec
        for position in self._run.frames:
            if self._run.board.state(position) is TaskState.RUNNING:
                self.watch(self._run.tasks[position])

    @property
    def times(self) -> tuple[float, ...]:
        """Give the times at which something is to be ended."""
        return (*(() if self._deadline is None else (self._deadline,)), *self._of_groups.values())

    def watch(self, task: Task) -> None:
        """Take the time of the recipe that a task uses, where that may take so much and no more."""
        timeout_sec = _limit_sec(task)
        if timeout_sec is not None:
            self._of_groups[task.position] = monotonic() + timeout_sec

    def forget(self, task: Task) -> None:
        """Take no more time of a recipe that has ended."""
        self._of_groups.pop(task.position, None)

    def expire(self) -> None:
        """Give up the steps of a run that has taken too long."""
        if self._deadline is not None and monotonic() >= self._deadline:
            self._deadline, self.has_expired = None, True
            self._run.board.stop_steps(f"the run took more than {self._timeout_sec:g} seconds")

    def take_overdue(self) -> list[Task]:
        """Give the tasks whose recipes have taken too long, each once."""
        over = [group for group, at in self._of_groups.items() if monotonic() >= at]
        for group in over:
            del self._of_groups[group]
        return [self._run.tasks[group] for group in over]

    def give_up(self, task: Task) -> None:
        """Begin no further step of a recipe that has taken too long."""
        reason = f"{task.task_id} took more than {_limit_sec(task):g} seconds"
        self._run.given_up[task.position] = reason
        self._run.board.stop_below(task.position, reason)

    def is_over(self, task: Task) -> bool:
        """Tell whether there is no time for another attempt at a task."""
        return self.has_expired or self.is_overdue(task)

    def is_overdue(self, task: Task) -> bool:
        """Tell whether a task belongs to a used recipe that was given up, and not to what that does last."""
        above = task
        while above.parent is not None:
            above = self._run.tasks[above.parent]
            if above.position in self._run.given_up:
                return task.closes <= above.closes
        return False


def _limit_sec(task: Task) -> float | None:
    """Give the seconds that the steps of the recipe which a task uses may take: the lesser of the two that say so."""
    own = task.planned.sub.loaded.recipe.timeout if task.planned.sub else None
    return min((limit for limit in (task.planned.timeout_sec, own) if limit is not None), default=None)
