"""``matterstack logs RUN [TASK]``: what steps wrote to standard error, and to standard output where it was kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.options import workspaces_option
from orchestrator.cli.output import harmless
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.paths import find_run, workspaces_root
from orchestrator.store.attempt_files import with_files
from orchestrator.store.database import reading, update_legacy
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import AttemptRow, iterate_ended_attempts, read_tasks

_LOOK_SEC = 0.3


@click.command("logs")
@click.argument("run", default="@last")
@click.argument("task", required=False)
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Show the N-th attempt at each task only.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is no longer driven.")
@workspaces_option
def command(
    run: str,
    task: str | None,
    attempt: int | None,
    follow: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> None:
    """Print what the attempts of RUN wrote, in the order in which they ended; of TASK, or what it became, alone."""
    run_root = find_run(run, workspaces_root(workspaces_dir))
    update_legacy(run_root)
    _check_task(run_root, task)
    shown = 0
    while True:
        driven = is_driven(run_root)
        with reading(run_root) as database:
            for row, seq in iterate_ended_attempts(database, after=shown, task_id=task):
                shown = seq
                if attempt in (None, row.attempt_index):
                    _show(with_files(row, run_root), with_name=row.task_id != task)
        if not (follow and driven):
            return
        time.sleep(_LOOK_SEC)


def _check_task(run_root: Path, task: str | None) -> None:
    with reading(run_root) as database:
        known = [row.task_id for row in read_tasks(database)] if task is not None else []
    if task is not None and task not in known:
        raise UsageError(f"run {run_root.name} has no task {task!r}", hint=did_you_mean(task, known))


def _show(row: AttemptRow, *, with_name: bool) -> None:
    name = row.task_id if row.attempt_index == 1 else f"{row.task_id} #{row.attempt_index}"
    for line in _lines(row):
        click.echo(f"{name}: {line}" if with_name else line)


def _lines(row: AttemptRow) -> Iterator[str]:
    for text in (row.stdout, row.stderr):
        yield from map(harmless, text.splitlines())
