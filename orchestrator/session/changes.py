"""Compare a run with the recipe by which it goes on, and take over what changed where somebody accepts that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.files import replace_file
from orchestrator.plan import Plan, PlannedTask
from orchestrator.session.open_attempts import Ends, had_by_operators
from orchestrator.states import RunState
from orchestrator.store.database import Database, reading
from orchestrator.store.queries import Items, TaskRow, read_inputs, read_run, read_tasks
from orchestrator.store.runs import put_inputs, redefine_tasks, reset_tasks

_GO_ON = {RunState.FAILED: "retry {}", RunState.COMPLETED: "rerun {} TASK", RunState.CANCELLED: "rerun {} TASK"}


def take_over_changes(database: Database, plan: Plan, end: Ends, *, accept_changes: bool) -> None:
    """Compare the definitions of the tasks with those the run was started with; what changed is ended by ``end``.

    Raises `UsageError` (MS307) where some changed and nobody accepts that, or where the run cannot go on with them.
    """
    changed = _changed(database, plan)
    if changed and not accept_changes:
        raise UsageError(
            f"changed since run {database.run_root.name} began: {', '.join(changed)}",
            hint=how_to_accept(database.run_root),
            code="MS307",
        )
    if changed and (attempts := had_by_operators(database, _stale(database, changed))):
        end(attempts, "definition changed")
    if (accept_changes and read_inputs(database).get("recipe_sha256") != plan.source.sha256) or changed:
        with database.transaction():
            if changed:
                _redefine(database, plan, changed)
            put_inputs(database, plan.recorded)
        replace_file(database.run_root / "recipe.yaml", plan.source.text.encode(), mode=0o644)


def _changed(database: Database, plan: Plan) -> dict[str, PlannedTask]:
    """Give the steps of the recipe that are not what they were when the run began."""
    steps = (row for row in read_tasks(database, items=Items.NONE) if row.parent is None)
    planned = [row for row in steps if row.task_id == row.step]
    if [row.task_id for row in planned] != [task.task_id for task in plan.tasks]:
        raise UsageError("the recipe's list of steps changed since the run began", hint="start a new run", code="MS307")
    pairs = zip(planned, plan.tasks, strict=True)
    return {task.task_id: task for row, task in pairs if row.definition_sha256 != task.definition_sha256}


def _redefine(database: Database, plan: Plan, changed: Mapping[str, PlannedTask]) -> None:
    """Record what steps are now, and let them and all that they were expanded into run again."""
    rows = read_tasks(database)
    below = _below(rows, changed)
    definitions = {name: task.definition_sha256 for name, task in changed.items()}
    redefine_tasks(database, definitions, [task.task_id for task in plan.tasks if task.left_out])
    expanded = sorted({rows[row.parent].task_id for row in below if row.parent is not None})
    if expanded:
        reset_tasks(database, [row.task_id for row in below], expanded, "definition changed")


def _stale(database: Database, changed: Mapping[str, PlannedTask]) -> set[str]:
    """Name changed steps and all that they were expanded into; refuse those that the run cannot go on with."""
    rows = read_tasks(database)
    below = _below(rows, changed)
    _refuse_other_parts(rows, below, changed)
    return {*changed, *(row.task_id for row in below)}


def _below(rows: tuple[TaskRow, ...], changed: Mapping[str, PlannedTask]) -> list[TaskRow]:
    return [row for row in rows if row.parent is not None and rows[row.parent].task_id in changed]


def _refuse_other_parts(rows: tuple[TaskRow, ...], below: list[TaskRow], changed: Mapping[str, PlannedTask]) -> None:
    """Refuse a step that was expanded into other tasks than it would be now; those that were stay what they are."""
    for row in below:
        name = rows[row.parent or 0].task_id
        task = changed[name]
        fits = task.fan is not None if row.item_json is not None else task.is_expanded and task.fan is None
        if not fits or any(other.parent == row.position for other in rows):
            message = f"step {name!r} has begun and changed into another kind of step"
            raise UsageError(message, hint="start a new run", code="MS307")
    for name, task in changed.items():
        steps = [row.step for row in below if rows[row.parent or 0].task_id == name]
        if task.sub is not None and task.fan is None and steps and steps != [step.step for step in task.sub.tasks]:
            message = f"the steps of the recipe that {name!r} uses changed since the run began"
            raise UsageError(message, hint="start a new run", code="MS307")


def how_to_accept(run_root: Path) -> str:
    """Say which command goes on with a run whose recipe or scriptlets changed."""
    with reading(run_root) as database:
        words = _GO_ON.get(read_run(database).status, "resume {}").format(run_root.name)
    command = f"matterstack {words} --accept-recipe-change"
    return f"run the changed steps again with '{command}', or start afresh with 'matterstack run --new'"
