"""Turn a task into its items, or into the steps of the recipe that it uses, and end it when they have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.context import Change
from orchestrator.driver.attempts import Attempts
from orchestrator.driver.limits import Limits
from orchestrator.driver.rounds import Rounds
from orchestrator.driver.run import Run
from orchestrator.errors import ExpressionError, InvalidFileError, NotJsonSafeError, Problem, UsageError
from orchestrator.expressions import Scope, evaluate_condition, resolve
from orchestrator.fanning import fan_out
from orchestrator.frames import Frame, Task, add_to_merge, frame_outputs, nodes_of, part_of, sub_frame
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.nodes import Phase
from orchestrator.plan import SubRecipe, at_task
from orchestrator.progress import TaskEnded
from orchestrator.states import TaskState
from orchestrator.store.runs import collect_task, expand_task, round_id, use_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a group ends; without ``changes``, what its items wrote is what it writes."""

    state: TaskState
    reason: str = ""
    changes: tuple[Change, ...] | None = None
    problem: Problem | None = None


class Groups:
    """The tasks of one run that are expanded instead of being run."""

    def __init__(self, run: Run, attempts: Attempts, limits: Limits, rounds: Rounds) -> None:
        self._run = run
        self._attempts = attempts
        self._limits = limits
        self._rounds = rounds

    def expand(self, task: Task, scope: Scope) -> None:
        """Begin a group; where its condition is false it is skipped, and where it cannot begin it has failed."""
        if task.is_fan:
            self._fan_out(task, scope)
        else:
            self._enter(task, scope)

    def is_needless(self, task: Task) -> bool:
        """Tell whether a task is there for a failure within its used recipe, and there was none."""
        if not task.frame.is_used or task.planned.node.phase is not Phase.ON_FAILURE:
            return False
        if task.parent is None or task.parent in self._run.given_up:
            return False
        return not self._run.board.lost_below(task.parent, before=Phase.ON_FAILURE)

    def _fan_out(self, task: Task, scope: Scope) -> None:
        """Turn a fan-out into its tasks."""
        fan, planned = task.planned.fan, task.planned
        key = "when"
        try:
            if planned.when and not planned.when_sees_item and not evaluate_condition(planned.when, scope):
                self._run.skip(task, f"when: {planned.when} is false")
                return
            key = "matrix" if fan and fan.matrix else "foreach"
            items = [(name, dumps(item, name)) for name, item in fan_out(fan, scope)] if fan else []
        except (ExpressionError, NotJsonSafeError) as error:
            self._attempts.refuse(task, error, key, task.frame.context)
            return
        first = expand_task(self._run.database, task.task_id, items)
        tasks = [task.item_task(first + index, name, text) for index, (name, text) in enumerate(items)]
        self._run.board.expanded(task.position, nodes_of(tasks))
        self._run.add(tasks, task.task_id)

    def _enter(self, task: Task, scope: Scope) -> None:
        """Begin the recipe that a step uses, or the workflow that was planned: its steps become tasks, in a frame."""
        planned = task.planned
        key = "when"
        try:
            if planned.when and not evaluate_condition(planned.when, scope):
                self._run.skip(task, f"when: {planned.when} is false")
                return
            key = "args" if planned.tasks_from is None else "tasks"
            inputs = _inputs_of(task, scope)
            if inputs == {"tasks": []}:
                self._run.skip(task, "there are no tasks")
                return
            sub = part_of(planned, inputs, task.frame.project)
            _check_wired(self._run, sub)
            names = _names(self._run, task, sub)
            key = "uses"
            frame = sub_frame(sub, inputs, self._run.root.names, self._run.means.secrets)
        except (ExpressionError, UsageError, InvalidFileError) as error:
            self._attempts.refuse(task, error, key, task.frame.context)
            return
        self._begin(task, frame, inputs, names)

    def _begin(self, task: Task, frame: Frame, inputs: dict[str, JsonValue], names: Sequence[str]) -> None:
        """Record the steps of a recipe that a task uses, under these names, and let them be run."""
        steps = [step.to_json() for step in frame.planned]
        first = use_recipe(self._run.database, task.task_id, inputs, steps, names)
        number = 1 if task.prefix else task.round
        tasks = [
            task.step_task(first + step.position, name, step, frame, number)
            for name, step in zip(names, frame.planned, strict=True)
        ]
        self._limits.watch(task)
        self._run.frames[task.position] = frame
        self._rounds.enter(task)
        self._run.board.expanded(task.position, nodes_of(tasks))
        add_to_merge(tasks, set())
        self._run.add(tasks, task.task_id)

    def collect(self, task: Task) -> None:
        """End a group whose tasks have ended."""
        self._limits.forget(task)
        end = self._items_end(task) if task.is_fan else self._recipe_end(task)
        try:
            written = collect_task(self._run.database, task.task_id, end.state, end.reason, end.changes)
        except NotJsonSafeError as error:
            end = _End(state=TaskState.FAILED, reason=error.message, problem=end.problem)
            written = collect_task(self._run.database, task.task_id, end.state, end.reason, ())
        if end.state is TaskState.COMPLETED and task.item is None:
            task.frame.merge.ended(task.position, written)
        self._run.settle(task, end.state)
        self._run.news.tell(
            TaskEnded(
                position=self._run.place_of(task),
                task_id=task.task_id,
                status=end.state,
                reason=end.reason,
                outputs=tuple(change.key for change in written),
                allowed=task.planned.node.allow_failure,
                problem=end.problem,
            )
        )

    def _items_end(self, task: Task) -> _End:
        counts = self._run.board.counts_below(task.position)
        lost = counts[TaskState.FAILED] + counts[TaskState.BLOCKED]
        reason = f"{lost} of {counts.total()} items failed or were not started" if lost else ""
        is_failed = lost and not task.planned.node.allow_failure
        return _End(state=TaskState.FAILED if is_failed else TaskState.COMPLETED, reason=reason)

    def _recipe_end(self, task: Task) -> _End:
        frame, lost = self._run.frames[task.position], self._run.board.lost_below(task.position)
        if not self._run.merge_rest(frame) or lost or task.position in self._run.given_up:
            total = self._run.board.counts_below(task.position).total()
            said = f"{max(lost, 1)} of its {total} steps failed or were not started"
            return _End(state=TaskState.FAILED, reason=self._run.given_up.get(task.position, said))
        try:
            return _End(state=TaskState.COMPLETED, changes=frame_outputs(frame, task.planned))
        except (ExpressionError, NotJsonSafeError) as error:
            place = frame.loaded.source.place(("outputs",))
            problem = Problem(error.code, f"{task.task_id}: {error.message}", place)
            return _End(state=TaskState.FAILED, reason=str(error), problem=problem)


def _inputs_of(task: Task, scope: Scope) -> dict[str, JsonValue]:
    """Give the inputs of the recipe that a step uses; of a workflow, the tasks that were planned."""
    planned, sub = task.planned, task.planned.sub
    if sub is not None:
        args = resolve(planned.args, scope)
        return settle_inputs(sub.loaded.recipe.inputs, args, sub.project)  # type: ignore[arg-type]
    tasks = resolve(planned.tasks_from, scope)
    if not isinstance(tasks, list) or not all(isinstance(one, dict) for one in tasks):
        raise ExpressionError("expected a list of steps", hint="as in: [{name: a, type: shell, run: [date]}]")
    return {"tasks": tasks}


def _names(run: Run, task: Task, sub: SubRecipe) -> list[str]:
    """Name the tasks that a task becomes.

    What was planned keeps its name, with the round where a task of an earlier one has it; one of the same round is
    refused. Which of two workflows began first does not count.
    """
    if task.prefix:
        return [f"{task.prefix}{step.step}" for step in sub.tasks]
    beside = {other.planned.step.lower() for other in run.tasks if other.round == task.round and _is_named(other)}
    for step in sub.tasks:
        if step.step.lower() in beside:
            message = at_task(step.step, "name", "another task of this round has it")
            raise UsageError(message, hint="give the planned task another name")
    taken = {other.task_id.lower() for other in run.tasks}
    return [round_id(step.step, task.round if step.step.lower() in taken else 1) for step in sub.tasks]


def _is_named(task: Task) -> bool:
    """Tell whether a task has the name of its step, and not one within the task that it is a part of."""
    return task.item is None and "/" not in task.task_id


def _check_wired(run: Run, sub: SubRecipe) -> None:
    """Refuse tasks that were planned for operators which there are not."""
    known = {key for key, wired in run.means.operators.items() if not wired.is_idle}
    for step in sub.tasks:
        if step.away and step.away.operator_key not in known:
            message = at_task(step.step, "operator_key", f"there is no operator {step.away.operator_key!r}")
            raise UsageError(message, hint=f"there are: {', '.join(sorted(known))}", code="MS214")
