"""``matterstack respond RUN TASK``: answer what a run asks people, or show what it asks."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.answers import record_answer, refuse_late, verdict
from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import harmless, print_json
from orchestrator.errors import NotJsonSafeError, UsageError
from orchestrator.jsonsafe import JsonValue, loads
from orchestrator.operators.human import COMPLETED, Question, current_user, given
from orchestrator.operators.questions import open_question, open_questions


@click.command("respond")
@click.argument("run", default="@last")
@click.argument("task", required=False)
@click.option("--approve", is_flag=True, help="Approve: the data of the answer holds 'approved: true'.")
@click.option("--reject", is_flag=True, help="Reject: the step fails.")
@click.option("--data", metavar="JSON|@FILE", help="The data of the answer.")
@click.option("--reason", default="", help="Why, for the records.")
@workspaces_option
@json_option
def command(
    run: str,
    task: str | None,
    approve: bool,  # noqa: FBT001  a command-line flag
    reject: bool,  # noqa: FBT001  a command-line flag
    data: str | None,
    reason: str,
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> int:
    """Answer TASK of RUN; without an answer, show what is asked; without TASK, list the open questions."""
    if approve and reject:
        raise UsageError("--approve and --reject are both given", hint="choose one")
    database = open_run_for_reading(run, workspaces_dir)
    if task is None:
        _list(open_questions(database), database.run_root.name, as_json=as_json)
        return 0
    question = open_question(database, task)
    if not (approve or reject or data is not None):
        _show(question, as_json=as_json)
        return 0
    refuse_late(question)
    document = _document(approve=approve, reject=reject, data=data, reason=reason)
    file = record_answer(database.run_root, task, document)
    click.echo(f"{task}: {'rejected' if reject else 'answered'}, in {file}", err=True)
    if as_json:
        print_json(
            {"task_id": task, "attempt_id": question.attempt_id, "status": document["status"], "by": current_user()}
        )
    return 0


def _document(*, approve: bool, reject: bool, data: str | None, reason: str) -> dict[str, JsonValue]:
    said = _data(data) if data is not None else {}
    if not (approve or reject):
        return {"status": COMPLETED, "data": said}
    if isinstance(said, dict) and said.get("approved", approve) is not approve:
        raise UsageError("--data says otherwise than the option", hint="leave 'approved' out of the data")
    return verdict(approves=approve, reason=reason, said=said)


def _data(text: str) -> JsonValue:
    try:
        if text.startswith("@"):
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        return loads(text)
    except (OSError, UnicodeDecodeError, NotJsonSafeError) as error:
        raise UsageError(f"--data: {error}", hint="""as in: --data '{"grade": 3}', or --data @answer.json""") from error


def _list(questions: list[Question], run_id: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_described(question) for question in questions])
        return
    for question in questions:
        if given(question):
            click.echo(f"{question.task_id}: answered; the run takes it when it goes on")
            continue
        first = question.instructions.strip().split("\n")[0]
        command = f"matterstack respond {run_id} {shlex.quote(question.task_id)} --approve"
        click.echo(harmless(f"{question.task_id}: {first}\n  = {command}"))
    if not questions:
        click.echo("nothing waits for an answer", err=True)


def _show(question: Question, *, as_json: bool) -> None:
    if as_json:
        print_json(_described(question))
        return
    click.echo(harmless(question.instructions.rstrip()))
    if question.schema:
        click.echo(f"\nan answer fits: {json.dumps(dict(question.schema), ensure_ascii=False)}")
    click.echo(f"\nfiles: {question.folder}")
    click.echo("answer with --approve, --reject, or --data JSON", err=True)


def _described(question: Question) -> dict[str, Any]:
    return {
        "task_id": question.task_id,
        "attempt_id": question.attempt_id,
        "instructions": question.instructions,
        "response_schema": dict(question.schema),
        "approvals": question.approvals,
        "approvers": list(question.approvers),
        "deadline_at_utc": question.deadline_at or None,
        "folder": str(question.folder),
    }
