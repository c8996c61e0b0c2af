"""Ask people by files in the attempt's directory, and read what they answer, whoever wrote it and however slowly."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.checks import mismatch
from orchestrator.files import replace_file
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import INSTRUCTIONS, RESPONSE, RESPONSES, SCHEMA
from orchestrator.operators.answers import NotYetError, read_written, user_name
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.staging import json_file, stage

COMPLETED = "COMPLETED"
FAILED = "FAILED"

_FIELDS = frozenset({"status", "data", "error", "task_id", "attempt_id", "by"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What people are asked in one attempt, as its params say it.

    ``asked_by`` is the user whose run it is, ``asked_at`` when the attempt began.
    """

    folder: Path
    task_id: str
    attempt_id: str
    run_id: str = ""
    instructions: str
    schema: Mapping[str, JsonValue] = field(default_factory=dict)
    approvals: int = 1
    approvers: tuple[str, ...] = ()
    separation_of_duty: bool = False
    deadline_at: str = ""
    then: str = "fail"
    asked_by: str = ""
    asked_at: str = ""
    files: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Give the digest of what is shown: the instructions, the schema that an answer must fit, and the files."""
        shown = f"{self.instructions}\0{json.dumps(self.schema, sort_keys=True)}"
        if self.files:
            shown += f"\0{json.dumps(self.files, sort_keys=True)}"
        return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer of one person: who gave it, when, and in which file."""

    status: str
    data: JsonValue
    error: str
    by: str
    at_utc: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: nothing yet, with what stands in the way, or an end with those who brought it about."""

    status: str = ""
    data: JsonValue = None
    error: str = ""
    responses: tuple[Response, ...] = ()
    waits_for: str = ""


def question_of(assignment: Assignment) -> Question:
    """Give what is asked in an attempt."""
    work = assignment.work
    return Question(
        folder=assignment.folder,
        run_id=assignment.run_root.name,
        task_id=assignment.task_id,
        attempt_id=assignment.attempt_id,
        instructions=str(assignment.params["instructions"]),
        schema=work.get("response_schema") or {},
        approvals=work.get("approvals", 1),
        approvers=tuple(work.get("approvers", ())),
        separation_of_duty=work.get("separation_of_duty", False),
        deadline_at=work.get("deadline_at", ""),
        then=work.get("then", "fail"),
        asked_at=assignment.asked_at,
        files=work.get("files", {}),
        asked_by=user_name(assignment.run_root.stat().st_uid),
    )


def ask(question: Question, assignment: Assignment) -> Mapping[str, JsonValue]:
    """Put the question where people find it, whole, unless it is there; return the digest of what it was made from."""
    texts = {
        INSTRUCTIONS: question.instructions.encode("utf-8", "surrogatepass"),
        SCHEMA: json_file(question.schema),
        **({f"{RESPONSES}/.keep": b""} if question.approvals > 1 else {}),
    }
    manifest: dict[str, JsonValue] = {
        "approvals": question.approvals,
        "approvers": list(question.approvers),
        "deadline_at_utc": question.deadline_at or None,
        "then": question.then,
        "shown_sha256": question.sha256,
        "answer_with": RESPONSE if question.approvals == 1 else f"{RESPONSES}/<user>.json",
    }
    return stage(assignment, texts, manifest, durable=True)


def answer(question: Question, now_utc: str) -> Answer:
    """Say what came of a question so far.

    A response that is half written, malformed, by somebody who may not answer, or does not fit the schema, is waited
    out. With several approvals each counts once for each user; one rejection ends the question.
    """
    found: list[Response] = []
    waits: list[str] = []
    for path in _paths(question):
        try:
            found.append(read_response(question, path))
        except NotYetError as error:
            waits.append(f"{path.relative_to(question.folder)}: {error}")
    rejections = [response for response in found if response.status == FAILED]
    if rejections:
        first = rejections[0]
        return Answer(
            status=FAILED, data=first.data, error=first.error or f"rejected by {first.by}", responses=(first,)
        )
    by_user = {response.by: response for response in found}
    if len(by_user) >= question.approvals:
        taken = tuple(by_user.values())
        return Answer(status=COMPLETED, data=taken[-1].data, responses=taken)
    if question.deadline_at and now_utc >= question.deadline_at:
        return _silence(question)
    if question.approvals > 1 and by_user:
        waits.append(f"{len(by_user)} of {question.approvals} approvals")
    return Answer(waits_for="; ".join(waits))


def read_response(question: Question, path: Path) -> Response:
    """Read a response; raise `NotYetError` with the reason where it is none, or none that counts."""
    written = read_written(path)
    document = written.document
    check_response(question, document, written.by)
    if question.deadline_at and written.at_utc > question.deadline_at:
        raise NotYetError("it came after the deadline")
    error = document.get("error", "")
    return Response(
        status=document["status"],
        data=document.get("data", {}),
        error=error if isinstance(error, str) else dumps(error),
        by=written.by,
        at_utc=written.at_utc,
        path=path,
    )


def check_response(question: Question, document: Mapping[str, Any], owner: str) -> None:
    """Raise `NotYetError` with the reason why the response of a user does not count."""
    if unknown := sorted(document.keys() - _FIELDS):
        raise NotYetError(f"unknown key {unknown[0]!r}")
    if document.get("status") not in {COMPLETED, FAILED}:
        raise NotYetError(f"expected the status COMPLETED or FAILED, got {document.get('status')!r}")
    for name in ("task_id", "attempt_id"):
        if document.get(name, getattr(question, name)) != getattr(question, name):
            raise NotYetError(f"it answers another question: {name} is {document[name]!r}")
    if question.approvers and owner not in question.approvers:
        raise NotYetError(f"{owner} may not answer; asked are: {', '.join(question.approvers)}")
    if question.separation_of_duty and owner == question.asked_by:
        raise NotYetError(f"{owner} has started the run, and somebody else must answer")
    data = document.get("data", {})
    if document["status"] == COMPLETED and (problem := mismatch("data", data, dict(question.schema))):
        raise NotYetError(problem)


def given(question: Question) -> Response | None:
    """Give the answer that this user, or for one approval anybody, has given already."""
    try:
        return read_response(question, _own_path(question))
    except NotYetError:
        return None


def respond(question: Question, document: Mapping[str, JsonValue]) -> Path:
    """Write the response of this user, as one to this attempt and no other; the file appears whole."""
    path = _own_path(question)
    named = {**document, "task_id": question.task_id, "attempt_id": question.attempt_id}
    replace_file(path, json_file(named), mode=0o644)
    return path


def _own_path(question: Question) -> Path:
    if question.approvals == 1:
        return question.folder / RESPONSE
    return question.folder / RESPONSES / f"{current_user()}.json"


def current_user() -> str:
    """Give the name of the user whose process this is."""
    return user_name(os.getuid())


def _silence(question: Question) -> Answer:
    if question.then == "approve":
        return Answer(status=COMPLETED, data={"approved": True})
    error = "nobody answered in time" if question.then == "fail" else "rejected: nobody answered in time"
    return Answer(status=FAILED, data={"approved": False}, error=error)


def _paths(question: Question) -> Iterable[Path]:
    if question.approvals > 1:
        return sorted((question.folder / RESPONSES).glob("*.json"))
    only = f"{question.folder}/{RESPONSE}"  # asked for so often that making a path of it counts
    return (Path(only),) if os.path.lexists(only) else ()
