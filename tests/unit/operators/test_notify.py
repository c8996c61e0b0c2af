"""People are told at least once; whoever cannot be told is a note that gives nothing away."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from orchestrator.layout import NOTIFIED
from orchestrator.operators.asking import Question, question_of
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.human import ask
from orchestrator.operators.notify import notification, notify, tell
from orchestrator.wiring.model import Notify
from tests.unit.operators.web_server import answering_with

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
NOWHERE = Notify(webhook="http://127.0.0.1:1/hook/s3cret")


@pytest.fixture(name="question")
def _question(tmp_path: Path) -> Question:
    assignment = Assignment(
        run_root=tmp_path,
        task_id="review",
        attempt_id="a1",
        attempt_index=1,
        operator_key="human.default",
        relative_path="q",
        params={"instructions": "Is it so?"},
        work={"step": "review"},
    )
    question = question_of(assignment)
    ask(question, assignment)
    return question


def writing(path: Path) -> Notify:
    """Give a program that adds what it is given to a file."""
    return Notify(command=("sh", "-c", f"cat >> {path}"))


def test_a_program_gets_the_document(question: Question, tmp_path: Path) -> None:
    """On standard input, with the words of the question and how to answer it."""
    assert notify([writing(tmp_path / "told")], notification(question, "r1")) == ()
    assert json.loads((tmp_path / "told").read_text()) == {
        "run_id": "r1",
        "task_id": "review",
        "attempt_id": "a1",
        "instructions": "Is it so?",
        "answer_with": "matterstack respond r1 review",
        "deadline_at_utc": None,
        "shown_sha256": question.sha256,
    }


def test_a_webhook_gets_the_document(question: Question) -> None:
    """By POST, as JSON."""
    with answering_with(OK) as server:
        assert notify([Notify(webhook=f"{server.url}/hook/s3cret")], notification(question, "r1")) == ()

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook/s3cret HTTP/1.1")
    assert json.loads(body)["task_id"] == "review"


@pytest.mark.parametrize(
    ("way", "note"),
    [
        (NOWHERE, "notify 1: the webhook was not reached: connection refused"),
        (
            Notify(command=("/lab/s3cret/mail", "--key", "s3cret")),
            "notify 1: the program 'mail' failed: it cannot be started: no such file or directory",
        ),
        (
            Notify(command=(sys.executable, "-c", "import sys; sys.exit('s3cret')")),
            f"notify 1: the program {Path(sys.executable).name!r} failed: exit code 1",
        ),
    ],
)
def test_what_fails_is_a_note_without_a_secret(question: Question, way: Notify, note: str) -> None:
    """Neither the address, nor an argument, nor what a program says."""
    assert notify([way], notification(question, "r1")) == (note,)


def test_a_webhook_that_refuses_is_a_note(question: Question) -> None:
    """With its status alone; a redirect is not followed."""
    with answering_with(b"HTTP/1.1 302 Found\r\nLocation: /s3cret\r\nContent-Length: 0\r\n\r\n") as server:
        notes = notify([Notify(webhook=server.url)], notification(question, "r1"))

    assert notes == ("notify 1: the webhook answered with status 302",)


def test_one_way_that_fails_keeps_no_other_back(question: Question, tmp_path: Path) -> None:
    """Each is tried."""
    notes = tell([NOWHERE, writing(tmp_path / "told")], question, "r1")

    assert (len(notes), (tmp_path / "told").exists()) == (1, True)


def test_people_are_told_once(question: Question, tmp_path: Path) -> None:
    """However often the question is looked at."""
    for _ in range(2):
        tell([writing(tmp_path / "told")], question, "r1")

    assert (tmp_path / "told").read_text().count("\n") == 1


def test_whom_nobody_could_tell_is_told_the_next_time(question: Question, tmp_path: Path) -> None:
    """So it is too where the process died before it could keep that it had told them."""
    assert len(tell([NOWHERE], question, "r1")) == 1
    assert tell([writing(tmp_path / "told")], question, "r1") == ()
    (question.folder / NOTIFIED).unlink()
    tell([writing(tmp_path / "told")], question, "r1")

    assert (tmp_path / "told").read_text().count("\n") == 2
