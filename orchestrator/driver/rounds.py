"""Repeat the steps of a recipe, round by round, until the recipe says that it is enough."""

from __future__ import annotations

from orchestrator.context import Change
from orchestrator.driver.run import Run
from orchestrator.errors import ExpressionError, Problem
from orchestrator.expressions import evaluate_condition
from orchestrator.frames import Frame, Task, add_to_merge, root_task
from orchestrator.nodes import Phase
from orchestrator.recipe.model import Repeat
from orchestrator.states import TaskState
from orchestrator.store.runs import ROUND_KEY, add_round, round_id


class Rounds:
    """The rounds in which a run and the recipes used in it stand; ``problem`` is what was wrong with the run's own.

    A group is the task that uses a recipe; no group stands for the run itself.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._numbers: dict[int | None, int] = {None: int(str(run.root.context.get(ROUND_KEY, 0)))}
        self.problem: Problem | None = None

    def begin(self) -> None:
        """Take up the rounds where an earlier runner left them, or begin the first."""
        if self._run.plan.recipe.repeat and not self._numbers[None]:
            with self._run.database.transaction():
                self._begin_round(1, None)
        for position, frame in self._run.frames.items():
            self._numbers[position] = int(str(frame.context.get(ROUND_KEY, 1)))

    def enter(self, group: Task) -> None:
        """Begin the first round of a recipe that is used."""
        frame = self._run.frames[group.position]
        self._numbers[group.position] = 1
        if frame.loaded.recipe.repeat:
            frame.context.apply([Change(ROUND_KEY, "1", "repeat")])

    def go_on(self, group: Task | None = None) -> None:
        """Begin another round of the steps, or end them where the recipe says so or has no more rounds."""
        frame, number = self._frame(group), self._numbers[_key(group)]
        rule = frame.loaded.recipe.repeat
        is_done, problem = _is_done(rule, frame)
        if rule and not is_done and number < rule.max:
            self._begin_round(number + 1, group)
            return
        if rule and not is_done:
            problem = f"repeat.until is still false after {rule.max} round{'' if rule.max == 1 else 's'}"
        if problem:
            self._give_up(group, problem)
        self._run.board.end_rounds(_key(group))

    def _give_up(self, group: Task | None, reason: str) -> None:
        if group is not None:
            self._run.given_up[group.position] = reason
            return
        place = self._run.root.loaded.source.place(("repeat", "until"))
        self.problem = Problem("MS309", reason, place)
        self._run.board.stop_steps(reason)

    def _begin_round(self, number: int, group: Task | None) -> None:
        """Add the steps once more; they see the round's number and all that was written before."""
        frame, within = self._frame(group), group.task_id if group else ""
        planned = [task for task in frame.planned if task.node.phase is Phase.STEPS] if number > 1 else []
        first, change = add_round(self._run.database, number, [task.to_json() for task in planned], within=within)
        frame.context.apply([change])
        self._numbers[_key(group)] = number
        if group is None:
            tasks = [root_task(first + task.position, task, frame, number) for task in planned]
        else:
            names = {task.step: f"{group.prefix}{round_id(task.step, number)}" for task in planned}
            tasks = [group.step_task(first + task.position, names[task.step], task, frame, number) for task in planned]
        self._run.board.add_round([task.node for task in tasks], _key(group))
        add_to_merge(tasks, set())
        self._run.add(tasks, within)
        for task in tasks:
            if task.planned.left_out:
                self._run.settle(task, TaskState.SKIPPED)

    def _frame(self, group: Task | None) -> Frame:
        return self._run.root if group is None else self._run.frames[group.position]


def _is_done(rule: Repeat | None, frame: Frame) -> tuple[bool, str]:
    """Tell whether the steps were repeated often enough, and what is wrong with the condition that says so."""
    try:
        return rule is None or evaluate_condition(rule.until, frame.scope), ""
    except ExpressionError as error:
        return True, f"repeat.until: {error.message}"


def _key(group: Task | None) -> int | None:
    return None if group is None else group.position
