"""Say what else has to run again where some tasks of a run do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.frames import Parts
from orchestrator.nodes import Phase
from orchestrator.plan import Plan, PlannedTask, SubRecipe
from orchestrator.store.queries import TaskRow


def reached_from(plan: Plan, parts: Parts, rows: tuple[TaskRow, ...], chosen: set[int]) -> set[int]:
    """Give the positions of all tasks that depend on some of these, in their own list of steps and in those above."""
    reached = chosen | _dependents_beside(plan, parts, rows, chosen)
    return reached | _dependents(plan, {_step_of(rows, position) for position in reached})


def has_last(tasks: Iterable[PlannedTask]) -> bool:
    """Tell whether some of these, or of the recipes that they use, come after the steps."""
    return any(task.node.phase is not Phase.STEPS or (task.sub and has_last(task.sub.tasks)) for task in tasks)


def lists_of(plan: Plan, parts: Parts, rows: tuple[TaskRow, ...]) -> list[tuple[int | None, Phase, TaskRow]]:
    """Give the tasks that are steps, each with the task that uses its recipe and the part of that which it is in."""
    steps: dict[int | None, dict[str, PlannedTask]] = {None: {task.step: task for task in plan.tasks}}
    planned: dict[int, PlannedTask] = {}
    found: list[tuple[int | None, Phase, TaskRow]] = []
    for row in rows:
        if row.item_json is not None and row.parent is not None:
            planned[row.position] = planned[row.parent]
        else:
            planned[row.position] = steps[row.parent][row.step]
            found.append((row.parent, planned[row.position].node.phase, row))
        if part := _part(plan, parts, planned[row.position], row):
            steps[row.position] = {task.step: task for task in part.tasks}
    return found


def _step_of(rows: tuple[TaskRow, ...], position: int) -> int:
    """Give the position of the step of the recipe that a task belongs to, however deep it lies, in the first round."""
    while (parent := rows[position].parent) is not None:
        position = parent
    return next(row.position for row in rows if row.parent is None and row.task_id == rows[position].step)


def _dependents_beside(plan: Plan, parts: Parts, rows: tuple[TaskRow, ...], chosen: set[int]) -> set[int]:
    """Give the steps that depend on some of these within the same used recipe or round, and all of later rounds."""
    lists: dict[int | None, list[TaskRow]] = {}
    for of, phase, row in lists_of(plan, parts, rows):
        if phase is Phase.STEPS:
            lists.setdefault(of, []).append(row)
    found: set[int] = set()
    for of, steps in lists.items():
        changed = {row.position for row in steps if row.position in chosen or _holds(rows, row.position, chosen)}
        if changed and (of is not None or any(_round(row) > 1 for row in steps)):
            found |= _after(_planned_steps(plan, parts, rows, of), steps, changed) - (changed - chosen)
    return found if not found - chosen else found | _dependents_beside(plan, parts, rows, chosen | found)


def _after(planned: Sequence[PlannedTask], steps: list[TaskRow], changed: set[int]) -> set[int]:
    """Give the tasks of one list of steps that come after changed ones: dependents in their round, and later rounds."""
    places = {task.step: task.position for task in planned}
    names = {task.position: task.step for task in planned}
    waits = {task.step: {names[place] for place in task.node.after} for task in planned}
    first = min(_round(row) for row in steps if row.position in changed)
    stale = {row.step for row in steps if row.position in changed and _round(row) == first}
    for step in sorted(places, key=places.__getitem__):
        if waits[step] & stale:
            stale.add(step)
    return {row.position for row in steps if _round(row) > first or (_round(row) == first and row.step in stale)}


def _planned_steps(plan: Plan, parts: Parts, rows: tuple[TaskRow, ...], group: int | None) -> Sequence[PlannedTask]:
    """Give the steps of the recipe, or of the one that a task uses."""
    if group is None:
        return plan.tasks
    above = rows[group].parent
    around = rows[above].parent if above is not None and rows[group].item_json is not None else above
    using = next(task for task in _planned_steps(plan, parts, rows, around) if task.step == rows[group].step)
    part = _part(plan, parts, using, rows[group])
    return part.tasks if part else ()


def _part(plan: Plan, parts: Parts, planned: PlannedTask, row: TaskRow) -> SubRecipe | None:
    """Give the recipe that a task uses, or the one that its workflow amounts to, once it has begun."""
    return planned.sub if row.inputs_json is None else parts.of(planned, row.inputs_json, plan.project)


def _holds(rows: tuple[TaskRow, ...], group: int, chosen: set[int]) -> bool:
    """Tell whether one of some tasks lies below a task."""
    for position in chosen:
        above = rows[position].parent
        while above is not None:
            if above == group:
                return True
            above = rows[above].parent
    return False


def _round(row: TaskRow) -> int:
    """Give the round, of those that its list of steps has, in which a step's task stands; what was planned has one."""
    if row.parent is not None and "/" not in row.task_id:
        return 1
    _, _, number = row.task_id.rpartition("/")[2].partition("@")
    return int(number) if number.isdecimal() else 1


def _dependents(plan: Plan, steps: set[int]) -> set[int]:
    """Give the positions of all steps that depend on some of these, directly or through others."""
    found = set(steps)
    for task in plan.tasks:
        if found.intersection(task.node.after):
            found.add(task.position)
    return found - steps
