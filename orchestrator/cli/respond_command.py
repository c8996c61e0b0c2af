"""``matterstack respond RUN TASK``: answer what a run asks people, or show what it asks."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.answers import approved_by, record_answer, record_posted_answer, refuse_late, terms, verdict
from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import harmless, print_json
from orchestrator.errors import NotJsonSafeError, UsageError
from orchestrator.jsonsafe import JsonValue, loads
from orchestrator.operators.asking import COMPLETED, FAILED, Question, current_user
from orchestrator.operators.human import given, read_responses
from orchestrator.operators.posted import is_posting, posted_in, read_posted
from orchestrator.operators.questions import open_question, open_questions
from orchestrator.paths import STATE_NAME

# Records an answer and gives the name of its file.
_Record = Callable[[Mapping[str, JsonValue]], str]


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
    """Answer TASK of RUN; without an answer, show what is asked; without TASK, list the open questions.

    Who may not read the run gives the folder in which the question is posted, as in /lab/approvals/NAME, or the one
    with all of them, which lists what is open there.
    """
    if approve and reject:
        raise UsageError("--approve and --reject are both given", hint="choose one")
    folder = _folder(run)
    if folder is not None:
        questions, record = _posted(folder, task)
    else:
        questions, record = _of_run(run, task, workspaces_dir)
    if record is None:
        _list(questions, as_json=as_json)
    elif not (approve or reject or data is not None):
        _show(questions[0], as_json=as_json)
    else:
        refuse_late(questions[0])
        document = _document(approve=approve, reject=reject, data=data, reason=reason)
        _tell(questions[0], document, record(document), as_json=as_json)
    return 0


def _folder(run: str) -> Path | None:
    """Give the folder that is meant, where it is none of a run."""
    folder = Path(run)
    is_path = "/" in run or run in {".", ".."}
    return folder if is_path and not os.path.lexists(folder / STATE_NAME) else None


def _posted(folder: Path, task: str | None) -> tuple[list[Question], _Record | None]:
    """Give the questions of a folder, and what records an answer where it is the one of a question."""
    if task is not None:
        raise UsageError(f"{folder} is no run", hint="leave TASK out: what is posted is one question")
    if is_posting(folder):
        return [read_posted(folder)], functools.partial(record_posted_answer, folder)
    try:
        return posted_in(folder), None
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise UsageError(f"{folder}: {reason}", hint="a question that has ended is gone") from error


def _of_run(run: str, task: str | None, workspaces_dir: Path | None) -> tuple[list[Question], _Record | None]:
    """Give the open questions of a run, or that of a task and what records its answer."""
    database = open_run_for_reading(run, workspaces_dir)
    if task is None:
        return open_questions(database), None
    return [open_question(database, task)], functools.partial(record_answer, database.run_root, task)


def _tell(question: Question, document: Mapping[str, JsonValue], file: str, *, as_json: bool) -> None:
    is_rejection = document["status"] == FAILED
    click.echo(f"{question.task_id}: {'rejected' if is_rejection else 'answered'}, in {file}", err=True)
    if as_json:
        ids = {"task_id": question.task_id, "attempt_id": question.attempt_id}
        print_json({**ids, "status": document["status"], "by": current_user()})


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


def _list(questions: list[Question], *, as_json: bool) -> None:
    if as_json:
        print_json([_described(question) for question in questions])
        return
    for question in questions:
        if given(question):
            click.echo(f"{question.task_id}: answered; the run takes it when it goes on")
            continue
        first = question.instructions.strip().split("\n")[0]
        command = f"matterstack respond {_where(question)} --approve"
        click.echo(harmless(f"{question.task_id}: {first}\n  = {command}"))
    if not questions:
        click.echo("nothing waits for an answer", err=True)


def _where(question: Question) -> str:
    """Give what the command is told that answers a question."""
    if question.is_seen_by_others:
        return shlex.quote(str(question.folder))
    return f"{question.run_id} {shlex.quote(question.task_id)}"


def _show(question: Question, *, as_json: bool) -> None:
    if as_json:
        print_json(_described(question))
        return
    click.echo(harmless(question.instructions.rstrip()))
    click.echo()
    for line in terms(question):
        click.echo(harmless(line))
    click.echo(f"files: {question.folder}")
    if question.posting and not question.is_seen_by_others:
        click.echo(f"posted: {question.posting}")
    click.echo("answer with --approve, --reject, or --data JSON", err=True)


def _described(question: Question) -> dict[str, Any]:
    read = read_responses(question)
    return {
        "task_id": question.task_id,
        "attempt_id": question.attempt_id,
        "instructions": question.instructions,
        "response_schema": dict(question.schema),
        "approvals": question.approvals,
        "approved_by": approved_by(read),
        "approvers": list(question.approvers),
        "separation_of_duty": question.separation_of_duty,
        "deadline_at_utc": question.deadline_at or None,
        "then": question.then,
        "not_counted": [*read.waits, *(refusal.told for refusal in read.refused)],
        "folder": str(question.folder),
    }
