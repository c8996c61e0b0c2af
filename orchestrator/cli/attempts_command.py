"""``matterstack attempts RUN TASK``: every attempt that was made at a task."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import print_json, print_table, seconds
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.store.attempt_files import with_files
from orchestrator.store.queries import AttemptRow, read_attempts, read_tasks

HEADERS = [
    "attempt_id",
    "attempt_index",
    "status",
    "operator_type",
    "external_id",
    "artifact_path",
    "config_hash",
    "operator_key",
    "outcome",
    "exit_code",
    "duration",
    "reason",
]


@click.command("attempts")
@click.argument("run")
@click.argument("task")
@click.option("--stderr", "show_stderr", is_flag=True, help="Print what the latest attempt wrote to standard error.")
@workspaces_option
@json_option
def command(
    run: str,
    task: str,
    show_stderr: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> None:
    """List the attempts that RUN made at TASK, oldest first."""
    database = open_run_for_reading(run, workspaces_dir)
    known = [row.task_id for row in read_tasks(database)]
    if task not in known:
        raise UsageError(f"run {database.run_root.name} has no task {task!r}", hint=did_you_mean(task, known))
    attempts = [with_files(attempt, database.run_root) for attempt in read_attempts(database, task)]
    if as_json:
        print_json([dataclasses.asdict(attempt) for attempt in attempts])
    elif show_stderr:
        click.echo(attempts[-1].stderr if attempts else "", nl=False)
    else:
        print_table(map(_row, attempts), HEADERS)


def _row(attempt: AttemptRow) -> list[object]:
    return [
        attempt.attempt_id,
        attempt.attempt_index,
        attempt.status,
        attempt.operator_type,
        attempt.external_id,
        attempt.relative_path,
        attempt.operator_data.get("config_hash"),
        attempt.operator_key,
        attempt.outcome,
        attempt.exit_code,
        seconds(attempt.duration_sec),
        attempt.status_reason,
    ]
