"""``matterstack explain CODE|RUN``: what an error means, or what keeps a run from its end."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.advice import advice
from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import harmless, print_json
from orchestrator.errors import CODES, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import AttemptRow, has_recipe, read_open_attempts, read_run, read_tasks
from orchestrator.store.requests import open_requests
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.keys import kind_of
from orchestrator.wiring.snapshot import FOLDER, TEXT_NAME

_CODE = re.compile(r"MS[0-9]+", re.IGNORECASE)


@click.command("explain")
@click.argument("what", metavar="CODE|RUN")
@workspaces_option
@json_option
def command(what: str, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """Say what an error code means and what to do, or what keeps RUN from its end."""
    if _CODE.fullmatch(what):
        _explain_code(what.upper(), as_json=as_json)
    else:
        _explain_run(open_run_for_reading(what, workspaces_dir), as_json=as_json)


def _explain_code(code: str, *, as_json: bool) -> None:
    if code not in CODES:
        raise UsageError(f"there is no error code {code!r}", hint=did_you_mean(code, CODES))
    if as_json:
        print_json({"code": code, "meaning": CODES[code], "advice": advice(code)})
    else:
        click.echo(f"{code}: {CODES[code]}\n\n{advice(code)}")


def _explain_run(database: Database, *, as_json: bool) -> None:
    run = read_run(database)
    lines = [*_asked(database), *_findings(database), *_wiring(database)]
    todo = _todo(run.status, database)
    if as_json:
        print_json({"run_id": run.run_id, "status": run.status, "findings": lines, "todo": todo})
        return
    click.echo(f"{run.run_id}: {run.status}{f', {run.status_reason}' if run.status_reason else ''}")
    for line in lines:
        click.echo(f"  {harmless(line)}")
    click.echo(f"  = {todo}")


def _findings(database: Database) -> Iterator[str]:
    """Give each failed task with its reason, what runs, and how many others wait for what."""
    blocked: Counter[str] = Counter()
    elsewhere = {row.task_id: row for row in read_open_attempts(database) if row.is_external}
    for row in read_tasks(database):
        if row.status is TaskState.FAILED:
            yield f"{row.task_id} failed: {row.status_reason}"
        elif row.task_id in elsewhere:
            yield f"{row.task_id} {_elsewhere(elsewhere[row.task_id], database.run_root.name)}"
        elif row.status is TaskState.RUNNING and row.attempt_count:
            yield f"{row.task_id} runs, attempt {row.attempt_count}"
        elif row.status is TaskState.BLOCKED:
            blocked[row.status_reason] += 1
        elif row.status is TaskState.PENDING:
            blocked["waits for its turn"] += 1
        elif row.status is TaskState.CANCELLED:
            blocked[row.status_reason] += 1
    yield from (f"{count} task{'' if count == 1 else 's'}: {reason}" for reason, count in blocked.items())


def _elsewhere(attempt: AttemptRow, run_id: str) -> str:
    """Say what an attempt waits for that an operator has."""
    key = attempt.operator_key or ""
    if attempt.status is not AttemptState.WAITING_EXTERNAL:
        where = f" as {attempt.external_id}" if attempt.external_id else ""
        return f"is {attempt.status.lower()} on {key}{where}, attempt {attempt.attempt_index}"
    if kind_of(key) == "human":
        return f"waits for an answer: matterstack respond {run_id} {shlex.quote(attempt.task_id)}"
    return f"waits for a result of {key}, in {attempt.relative_path}"


def _asked(database: Database) -> Iterator[str]:
    """Say what was asked of the run and has not come about."""
    for request in open_requests(database):
        why = f" ({request.reason})" if request.reason else ""
        yield f"{request.by} has asked: {f'{request.wish} {request.attempt_id}'.rstrip()}{why}"


def _wiring(database: Database) -> Iterator[str]:
    """Say by which wiring the run goes, where it has kept one."""
    if kept := read_kept(database):
        yield f"Operator wiring: source={kept.source} sha256={kept.sha256} snapshot={FOLDER}/{TEXT_NAME}"


_WAYS_ON = {
    RunState.COMPLETED: "nothing is left to do; read its values with: matterstack ctx get {}",
    RunState.FAILED: "mend the cause, then: matterstack retry {}",
    RunState.CANCELLED: "open it once more with: matterstack revive {}",
}


def _todo(status: RunState, database: Database) -> str:
    run_id = database.run_root.name
    if is_driven(database.run_root):
        return f"it is being driven; watch it with: matterstack logs {run_id} --follow"
    if not has_recipe(database) and status is RunState.COMPLETED:
        return f"nothing is left to do; read what its tasks printed with: matterstack logs {run_id}"
    return _WAYS_ON.get(status, "go on with: matterstack resume {}").format(run_id)
