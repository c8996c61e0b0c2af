"""``matterstack status RUN``: where a run stands, task by task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.clusters import jobs_of, site_lines
from orchestrator.cli.frontier import removal
from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import harmless, print_json, print_table, seconds
from orchestrator.operators.pausing import holds_in
from orchestrator.operators.slurm.notices import notices
from orchestrator.paths import workspaces_root
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.glances import read_loud_lines
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import (
    Items,
    RunRow,
    TaskRow,
    count_items,
    count_tasks,
    read_inputs,
    read_run,
    read_tasks,
)
from orchestrator.store.spending import read_spending

_GOING_ON = {RunState.PAUSED: "resume", RunState.CANCELLED: "revive"}


@click.command("status")
@click.argument("run", default="@last")
@click.option("--all", "everything", is_flag=True, help="Show the items of fan-outs that are done or wait, too.")
@workspaces_option
@json_option
def command(
    run: str,
    everything: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> None:
    """Show where RUN stands: its state, its tasks, how often and how long each ran.

    Of the items of a fan-out, those are shown that run or failed; the step itself says how many there are.
    """
    database = open_run_for_reading(run, workspaces_dir)
    row = read_run(database)
    if as_json:
        print_json(_document(database, row, read_tasks(database)))
        return
    tasks, items = read_tasks(database, items=Items.ALL if everything else Items.LOUD), count_items(database)
    click.echo(f"{row.run_id}  {row.recipe_name}  {_headline(database, row)}", err=True)
    removals, seen = _removals(database), notices(database.run_root)
    jobs = jobs_of(database, seen)
    print_table(
        (
            [
                task.task_id,
                task.status,
                task.attempt_count,
                seconds(task.duration_sec),
                removals.get(task.position) or jobs.get(task.task_id) or _note(task, items),
            ]
            for task in tasks
        ),
        ["task", "status", "attempts", "duration", "reason"],
    )
    for line in site_lines(database, seen) if row.status not in ENDED_RUNS else ():
        click.echo(harmless(line), err=True)
    for line in holds(database.run_root, workspaces_root(workspaces_dir)):
        click.echo(line, err=True)
    counts = ", ".join(f"{count} {state.lower()}" for state, count in count_tasks(database).items())
    spending = read_spending(database)
    click.echo(f"{counts}{f', {spending}' if spending else ''}   {database.run_root}", err=True)


def holds(*folders: Path) -> Iterator[str]:
    """Say which operators somebody has paused, for a run or for all."""
    for folder in folders:
        for key, hold in holds_in(folder).items():
            yield f"{key} was paused {hold}; go on with: {hold.way_on(key)}"


def _removals(database: Database) -> dict[int, str]:
    """Give what to do about tasks that wait in a directory which is gone."""
    lines = read_loud_lines(database, states=[TaskState.WAITING_EXTERNAL])
    return {line.position: removal(line, database.run_root) for line in lines}


def _note(task: TaskRow, items: dict[int, dict[TaskState, int]]) -> str:
    """Give why a task is in its state; of a fan-out, how its items stand."""
    counts = items.get(task.position, {})
    stand = ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))
    return f"items: {stand}" if stand and not task.status_reason else task.status_reason


def _headline(database: Database, row: RunRow) -> str:
    reason = f" ({harmless(row.status_reason)})" if row.status_reason else ""
    if read_inputs(database).get("stubs"):
        reason += ", with stubs"
    if row.status in (RunState.PENDING, RunState.RUNNING) and not is_driven(database.run_root):
        return f"{row.status}{reason}, runner stopped; go on with: matterstack resume {row.run_id}"
    if row.status in _GOING_ON:
        return f"{row.status}{reason}; go on with: matterstack {_GOING_ON[row.status]} {row.run_id}"
    return f"{row.status}{reason}"


def _document(database: Database, row: RunRow, tasks: tuple[TaskRow, ...]) -> dict[str, Any]:
    spending = read_spending(database)
    return {
        "run_id": row.run_id,
        "run_root": str(database.run_root),
        "workspace_slug": row.workspace_slug,
        "recipe": row.recipe_name,
        "stubbed": bool(read_inputs(database).get("stubs")),
        "status": row.status,
        "status_reason": row.status_reason,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "driven": is_driven(database.run_root),
        "task_counts": count_tasks(database),
        "core_hours": spending.to_json() if spending else None,
        "sites": {key: asdict(notice) for key, notice in notices(database.run_root).items()},
        "tasks": [
            {
                "task_id": task.task_id,
                "step": task.step,
                "status": task.status,
                "status_reason": task.status_reason,
                "attempts": task.attempt_count,
                "duration_sec": task.duration_sec,
            }
            for task in tasks
        ],
    }
