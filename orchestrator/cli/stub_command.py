"""``matterstack stub record RUN``: write what the steps of a run answered, for runs in which they are not to run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.cli.options import open_run_for_reading, workspaces_option
from orchestrator.files import replace_file
from orchestrator.states import ENDED_TASKS, TaskState
from orchestrator.store.contexts import read_history
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_attempts, read_tasks
from orchestrator.stubs import Stub, stubs_text


@click.group("stub")
def command() -> None:
    """Make the files that 'run --stub' takes."""


@command.command("record")
@click.argument("run", default="@last")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there; else print it.")
@workspaces_option
def record(run: str, output: Path | None, workspaces_dir: Path | None) -> None:
    """Write the answers of the tasks of RUN that have ended: the values that they wrote, or how they failed.

    Edit the file to try what a recipe does with other answers.
    """
    database = open_run_for_reading(run, workspaces_dir)
    text = stubs_text(database.run_root.name, _answers(database))
    if output is None:
        click.echo(text, nl=False)
    else:
        replace_file(output.absolute(), text.encode())


def _answers(database: Database) -> list[tuple[str, Stub]]:
    writes: dict[str | None, dict[str, str | None]] = {}
    for entry in read_history(database):
        if not entry.rolled_back:
            writes.setdefault(entry.attempt_id, {})[entry.key] = entry.value_json
    found = []
    for task in read_tasks(database):
        if not task.attempt_count or task.status not in ENDED_TASKS:
            continue
        last = read_attempts(database, task.task_id)[-1]
        if task.status is TaskState.COMPLETED:
            texts = writes.get(last.attempt_id, {})
            found.append((task.task_id, Stub(outputs={key: json.loads(text) for key, text in texts.items() if text})))
        else:
            found.append((task.task_id, _failure(last)))
    return found


def _failure(attempt: AttemptRow) -> Stub:
    """Give a stub that fails as an attempt did; where the exit code was that of success, with the reason found."""
    if attempt.exit_code and attempt.exit_code > 0:
        return Stub(status="error", reason=(attempt.envelope or {}).get("reason", ""), exit_code=attempt.exit_code)
    return Stub(status="error", reason=attempt.status_reason)
