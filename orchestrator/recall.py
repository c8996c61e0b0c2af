"""Take up a run from its records: the tasks, what expressions can name, and what was written before."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.context import Change, Context
from orchestrator.frames import Frame, Parts, Secrets, Task, add_to_merge, root_task, sub_frame
from orchestrator.jsonsafe import JsonValue
from orchestrator.merge import Merge
from orchestrator.plan import STDIN_NAME, Plan
from orchestrator.states import ENDED_TASKS
from orchestrator.store.contexts import read_first_values, read_writes
from orchestrator.store.database import Database
from orchestrator.store.queries import TaskRow
from orchestrator.store.runs import ROUND_KEY


def recall(
    database: Database,
    plan: Plan,
    rows: tuple[TaskRow, ...],
    secrets: Secrets,
    *,
    parts: Parts,
    context: Context,
    fixtures: Mapping[str, JsonValue],
    until: int | None = None,
) -> tuple[Frame, list[Task]]:
    """Give the frame of a run's recipe and its tasks; their merges know the writes so far, or up to an event.

    The values that the run began with are put into ``context``, which is the frame's.
    """
    root = _root_frame(plan, database, context, _names(plan, database.run_root, rows, secrets, fixtures))
    tasks = _tasks(root, rows, secrets, parts)
    writes = read_writes(database, until)
    add_to_merge(tasks, set(writes))
    for position, changes in writes.items():
        tasks[position].frame.merge.ended(position, changes)
    return root, tasks


def withheld(plan: Plan) -> frozenset[str]:
    """Give the variables that hold secrets: a step sees them where its ``env`` says so."""
    declared = (secret for recipe in plan.recipes.values() for secret in recipe.secrets.values())
    return frozenset(secret.env for secret in declared if secret.env)


def _root_frame(plan: Plan, database: Database, context: Context, names: dict[str, JsonValue]) -> Frame:
    """Give the frame of the recipe that is run, with the values that the run began with."""
    first = read_first_values(database)
    context.apply(Change(key, text, "") for key, text in first.items())
    merge = Merge(first, last_write_wins=plan.recipe.on_conflict == "last_write_wins")
    return Frame(
        loaded=plan.loaded, project=plan.project, planned=plan.tasks, names=names, context=context, merge=merge
    )


def _tasks(root: Frame, rows: tuple[TaskRow, ...], secrets: Secrets, parts: Parts) -> list[Task]:
    """Give the tasks of the plan, those of later rounds, and those that others were expanded into before."""
    tasks: list[Task] = []
    used: dict[int, Frame] = {}
    steps = {id(root): {task.step: task for task in root.planned}}
    for row in rows:
        frame = root
        if row.parent is not None:
            frame = tasks[row.parent].frame if row.item_json is not None else used[row.parent]
        planned = steps[id(frame)][row.step]
        number = _round_of(row, tasks)
        if row.parent is None:
            tasks.append(root_task(row.position, planned, frame, number))
        elif row.item_json is not None:
            tasks.append(tasks[row.parent].item_task(row.position, row.item_id, row.item_json))
        else:
            tasks.append(tasks[row.parent].step_task(row.position, row.task_id, planned, frame, number))
            if frame.loaded.recipe.repeat:
                frame.context.apply([Change(ROUND_KEY, str(number), "repeat")])
        if row.inputs_json is not None:
            part = parts.of(planned, row.inputs_json, frame.project)
            frame = used[row.position] = sub_frame(part, json.loads(row.inputs_json), root.names, secrets)
            steps[id(frame)] = {task.step: task for task in frame.planned}
        elif row.parent is not None and row.item_json is None and row.status in ENDED_TASKS:
            frame.names["steps"][row.step] = {"status": row.status.value}  # type: ignore[index,call-overload]
    return tasks


def _round_of(row: TaskRow, tasks: list[Task]) -> int:
    """Give the round in which a step's task stands: the end of its id, such as ``@2``, says so from the second on.

    A task that was planned stands in the round of the workflow that it is a part of, whatever its name.
    """
    if row.parent is not None and row.item_json is None and not tasks[row.parent].prefix:
        return tasks[row.parent].round
    before = f"{tasks[row.parent].prefix}{row.step}" if row.parent is not None else row.step
    is_later = row.item_json is None and row.task_id.startswith(f"{before}@")
    return int(row.task_id[len(before) + 1 :]) if is_later else 1


def _names(
    plan: Plan,
    run_root: Path,
    rows: tuple[TaskRow, ...],
    secrets: Secrets,
    fixtures: Mapping[str, JsonValue],
) -> dict[str, JsonValue]:
    """Give what expressions can name besides the context."""
    return {
        "inputs": plan.inputs,
        "vars": plan.vars,
        "secrets": dict(secrets[plan.source.name]),
        "env": {name: value for name, value in os.environ.items() if name not in withheld(plan)},
        "steps": {
            row.step: {"status": row.status.value} for row in rows if row.parent is None and row.status in ENDED_TASKS
        },
        "fixtures": dict(fixtures),
        "run": {"id": run_root.name, "root": str(run_root)},
        "recipe": {"name": Path(plan.source.name).name, "path": _recipe_path(plan.source.name)},
    }


def _recipe_path(name: str) -> str:
    """Give the same path for a run that goes on, which knows only where its recipe lies, as for one that begins."""
    return name if name == STDIN_NAME else str(Path(name).absolute())
