"""Say how many core-hours the steps of a plan ask for, and refuse those that a budget does not allow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf

from orchestrator.core_hours import core_seconds, cores_of, exceeds, jobs_of, told
from orchestrator.errors import ExpressionError, InvalidFileError, Problem, UsageError
from orchestrator.expressions import NAMES, Scope, expressions_in, reads, resolve
from orchestrator.fanning import Fan, count_items
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue
from orchestrator.nodes import Phase
from orchestrator.plan.constants import settle_vars
from orchestrator.plan.model import Away, Plan, PlannedTask, SubRecipe
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import PythonStep, Recipe, ShellStep, Step
from orchestrator.support import operator_key_of

OVER_CODE = "MS217"
UNLIMITED_CODE = "MS218"
# What an expression reads that only a run knows.
_OF_RUN = frozenset(NAMES) - {"inputs", "vars", "env"}

Names = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The core-seconds that a step asks of operators; those of one item where ``is_each``.

    ``asked`` is for one attempt at each of its items, None where nobody says how long one takes; ``most`` is for all
    retries and rounds too. ``certain`` is what is asked for whatever happens, but for failures, and without continued
    jobs. ``open_steps`` names what only the run can tell of.
    """

    asked: float | None = 0.0
    most: float = 0.0
    certain: float = 0.0
    is_each: bool = False
    open_steps: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Give what is known to be asked for by all items together."""
        return 0.0 if self.is_each or self.asked is None else self.asked

    @property
    def total_at_most(self) -> float:
        """Give what is known to be asked for by all items together, with all retries and rounds."""
        return 0.0 if self.is_each else self.most


def demands(plan: Plan) -> tuple[Demand, ...]:
    """Give what each step of a plan asks for."""
    names: Names = {"inputs": plan.inputs, "vars": plan.vars, "env": dict(os.environ)}
    return demands_of(plan.loaded, plan.tasks, names)


def demands_of(loaded: LoadedRecipe, tasks: Sequence[PlannedTask], names: Names) -> tuple[Demand, ...]:
    """Give what each step of a recipe asks for; ``names`` are those whose values are known."""
    repeat = loaded.recipe.repeat
    rounds = {Phase.STEPS: repeat.max} if repeat else {}
    return tuple(_demand(task, names, rounds.get(task.node.phase, 1)) for task in tasks)


def refuse_over_budget(loaded: LoadedRecipe, asked: Sequence[Demand]) -> None:
    """Raise `InvalidFileError` where the steps ask for more than the budget of their recipe."""
    budget = loaded.recipe.budget
    least = fsum(one.certain for one in asked)
    if budget and exceeds(least, core_seconds(budget.core_hours)):
        allowed = told(core_seconds(budget.core_hours))
        message = f"the steps ask for at least {told(least)} core-hours, and the budget is {allowed}"
        todo = "raise it, or lower 'cores', 'time_limit' or the number of items; 'matterstack plan' shows each step's"
        raise InvalidFileError([Problem(OVER_CODE, message, loaded.source.place(("budget", "core_hours")), todo)])


def without_limit(loaded: LoadedRecipe, subs: Mapping[str, SubRecipe]) -> Iterator[Problem]:
    """Give a problem for each step whose core-hours are not known, since nothing limits its time; ``subs`` are used."""
    for step in loaded.recipe.every_step():
        if sub := subs.get(step.name):
            yield from without_limit(sub.loaded, {task.step: task.sub for task in sub.tasks if task.sub})
        elif _is_unlimited(loaded.recipe, step):
            place = loaded.place(step.name, "operator_key")
            message = (
                f"step {step.name!r} has no 'time_limit', so that its core-hours are not known, and there is a budget"
            )
            todo = "add 'resources: {time_limit: 1h}' to the step, or to 'defaults'"
            yield Problem(UNLIMITED_CODE, message, place, todo)


def _is_unlimited(recipe: Recipe, step: Step) -> bool:
    if not isinstance(step, PythonStep | ShellStep) or not _is_routed(step):
        return False
    resources = step.resources or recipe.defaults.resources
    limits = (step.timeout, recipe.defaults.timeout, resources.time_limit if resources else None)
    return all(limit is None for limit in limits)


def _is_routed(step: PythonStep | ShellStep) -> bool:
    try:
        return bool(operator_key_of(step))
    except UsageError:  # which is told of where what is not supported is looked for
        return False


def _demand(task: PlannedTask, names: Names, rounds: int) -> Demand:
    one = Demand() if task.left_out else _of_one(task, names)
    if one == Demand():
        return one
    certain = 0.0 if task.when or task.node.phase is Phase.ON_FAILURE else one.certain
    items = _count(task.fan, names)
    if items is None:
        names_open = tuple(dict.fromkeys((*one.open_steps, task.step)))
        return dataclasses.replace(one, most=one.most * rounds, certain=0.0, is_each=True, open_steps=names_open)
    asked = None if one.asked is None else one.asked * items
    return dataclasses.replace(one, asked=asked, most=one.most * items * rounds, certain=certain * items)


def _of_one(task: PlannedTask, names: Names) -> Demand:
    """Give what a step asks for, or one of its items."""
    if task.sub is not None:
        return _of_all(task, demands_of(task.sub.loaded, task.sub.tasks, _names_within(task, task.sub, names)))
    if task.tasks_from is not None:
        return Demand(asked=None, open_steps=(task.step,))
    if task.away is None or not task.is_charged:
        return Demand()
    asked = _asked(task, task.away, 0)
    if asked is None:
        return Demand(asked=None, open_steps=(task.step,))
    return Demand(asked=asked, most=_most(task, task.away, asked), certain=asked / jobs_of(task.away.on_walltime))


def _of_all(task: PlannedTask, parts: Sequence[Demand]) -> Demand:
    """Give what the steps of a used recipe ask for together."""
    return Demand(
        asked=fsum(part.total for part in parts),
        most=fsum(part.total_at_most for part in parts),
        certain=fsum(part.certain for part in parts),
        open_steps=tuple(f"{task.step}/{name}" for part in parts for name in part.open_steps),
    )


def _asked(task: PlannedTask, away: Away, failures: int) -> float | None:
    """Give the core-seconds that an attempt asks for after so many failures, its continuations too."""
    resources = away.resources_after(failures)
    limit_sec = task.limit_sec(resources)
    return None if limit_sec is None else cores_of(resources) * limit_sec * jobs_of(away.on_walltime)


def _most(task: PlannedTask, away: Away, asked: float) -> float:
    """Give what all attempts ask for that a step may have by its own failures."""
    retries = task.node.retry.max
    if not away.grow:
        return asked * (1 + retries)
    try:
        return fsum(_asked(task, away, failures) or 0.0 for failures in range(1 + retries))
    except OverflowError:
        return inf


def _count(fan: Fan | None, names: Names) -> int | None:
    """Count the items of a step; None where only the run knows them."""
    if fan is None:
        return 1
    try:
        if not _is_known(fan.matrix if fan.matrix is not None else fan.foreach):
            return None
        return count_items(fan, Scope(names=names))
    except ExpressionError:
        return None


def _is_known(value: object) -> bool:
    """Tell whether a value depends on nothing but what is known before a run; raises `ExpressionError`."""
    if isinstance(value, str):
        return not any(read.root in _OF_RUN for text in expressions_in(value) for read in reads(text))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return all(_is_known(part) for part in parts)


def _names_within(task: PlannedTask, sub: SubRecipe, names: Names) -> Names:
    """Give what the expressions of a used recipe see, as far as it is known before a run."""
    try:
        if not _is_known(task.args):
            return {}
        args = resolve(task.args, Scope(names=names))
        inputs = settle_inputs(sub.loaded.recipe.inputs, args, sub.project)  # type: ignore[arg-type]
        return {**names, "inputs": inputs, "vars": settle_vars(sub.loaded, inputs)}
    except (ExpressionError, UsageError, InvalidFileError):
        return {}
