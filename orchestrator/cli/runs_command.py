"""``matterstack runs``: all runs of the workspaces, newest first."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.errors import StoreError
from orchestrator.paths import iterate_runs, workspaces_root
from orchestrator.states import ENDED_TASKS
from orchestrator.store.database import reading
from orchestrator.store.queries import count_tasks, read_run

HEADERS = ["run_id", "status", "recipe", "workspace", "tasks", "created_at", "ended_at"]


@click.command("runs")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many to list; 0 lists all."
)
@workspaces_option
@json_option
def command(limit: int, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """List runs, newest first."""
    roots = itertools.islice(iterate_runs(workspaces_root(workspaces_dir)), limit or None)
    rows = [_row(root) for root in roots]
    if as_json:
        print_json([dict(zip(HEADERS, row, strict=True)) for row in rows])
    else:
        print_table(rows, HEADERS)


def _row(root: Path) -> list[str]:
    """Describe one run; one whose state file cannot be read is listed all the same."""
    try:
        with reading(root) as database:
            run, counts = read_run(database), count_tasks(database)
    except StoreError as error:
        return [root.name, f"unreadable: {error.message}", "", "", "", "", ""]
    done = sum(count for state, count in counts.items() if state in ENDED_TASKS)
    progress = f"{done}/{sum(counts.values())}"
    return [run.run_id, run.status, run.recipe_name, run.workspace_slug, progress, run.created_at, run.ended_at or ""]
