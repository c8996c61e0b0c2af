"""Ask people by files in the attempt's directory, and read what they answer, whoever wrote it and however slowly."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.checks import mismatch
from orchestrator.files import replace_file
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import ANSWERED, INSTRUCTIONS, RESPONSE, RESPONSES, SCHEMA
from orchestrator.operators.answers import NotYetError, read_written
from orchestrator.operators.asking import COMPLETED, FAILED, Answer, Question, Response, current_user
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.decisions import decided
from orchestrator.operators.postings import posted_answers
from orchestrator.operators.staging import json_file, stage

_FIELDS = frozenset({"status", "data", "error", "task_id", "attempt_id", "shown_sha256", "by"})


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
    out. With several approvals each counts once for each user, wherever it was given; one rejection ends the question.
    """
    if (came := decided(question)) is not None:
        return came
    found, waits = _responses(question)
    rejections = [response for response in found if response.status == FAILED]
    if rejections:
        first = rejections[0]
        return Answer(
            status=FAILED, data=first.data, error=first.error or f"rejected by {first.by}", responses=(first,)
        )
    by_user = {response.by: response for response in found}
    if len(by_user) >= question.approvals:
        taken = tuple(by_user.values())[: question.approvals]
        return Answer(status=COMPLETED, data=taken[-1].data, responses=taken)
    if question.deadline_at and now_utc >= question.deadline_at:
        return _silence(question)
    if question.approvals > 1 and by_user:
        waits.append(f"{len(by_user)} of {question.approvals} approvals")
    return Answer(waits_for="; ".join(waits))


def _responses(question: Question) -> tuple[list[Response], list[str]]:
    """Give the responses that count, and why the others do not."""
    found: list[Response] = []
    waits: list[str] = []
    for path in _paths(question):
        try:
            found.append(read_response(question, path))
        except NotYetError as error:
            place = path.relative_to(question.folder) if path.is_relative_to(question.folder) else path
            waits.append(f"{place}: {error}")
    return found, waits


def read_response(question: Question, path: Path) -> Response:
    """Read a response; raise `NotYetError` with the reason where it is none, or none that counts."""
    posting = question.posting
    is_posted = posting is not None and path.parent.parent == posting
    written = read_written(path, base=posting.parent if posting and is_posted else None)
    document = written.document
    if is_posted and "attempt_id" not in document:
        # What somebody wrote to another end may have been moved here.
        raise NotYetError(f'it does not say what it answers: add "attempt_id": "{question.attempt_id}"')
    check_response(question, document, written.by)
    # Its owner can change what the file says of its time, but not what the system says of the last change.
    at_utc = written.changed_utc if is_posted else written.at_utc
    if question.deadline_at and at_utc > question.deadline_at:
        raise NotYetError("it came after the deadline")
    error = document.get("error", "")
    return Response(
        status=document["status"],
        data=document.get("data", {}),
        error=error if isinstance(error, str) else dumps(error),
        by=written.by,
        at_utc=at_utc,
        file=f"{ANSWERED}/{RESPONSES}/{written.by.replace('/', '_')}.json" if is_posted else path.name,
        sha256=hashlib.sha256(written.raw).hexdigest(),
        raw=written.raw,
    )


def check_response(question: Question, document: Mapping[str, Any], owner: str) -> None:
    """Raise `NotYetError` with the reason why the response of a user does not count."""
    if unknown := sorted(document.keys() - _FIELDS):
        raise NotYetError(f"unknown key {unknown[0]!r}")
    if document.get("status") not in {COMPLETED, FAILED}:
        raise NotYetError(f"expected the status COMPLETED or FAILED, got {document.get('status')!r}")
    _check_meant(question, document)
    if question.approvers and owner not in question.approvers:
        raise NotYetError(f"{owner} may not answer; asked are: {', '.join(question.approvers)}")
    if question.separation_of_duty and owner == question.asked_by:
        raise NotYetError(f"{owner} has started the run, and somebody else must answer")
    data = document.get("data", {})
    if document["status"] == COMPLETED and (problem := mismatch("data", data, dict(question.schema))):
        raise NotYetError(problem)


def _check_meant(question: Question, document: Mapping[str, Any]) -> None:
    for name in ("task_id", "attempt_id"):
        if document.get(name, getattr(question, name)) != getattr(question, name):
            raise NotYetError(f"it answers another question: {name} is {document[name]!r}")
    if document.get("shown_sha256", question.sha256) != question.sha256:
        raise NotYetError("it answers other words or files than those of the question")


def given(question: Question) -> Response | None:
    """Give the answer that this user, or for one approval anybody, has given already."""
    found, _ = _responses(question)
    mine = [response for response in found if question.approvals == 1 or response.by == current_user()]
    return mine[0] if mine else None


def respond(question: Question, document: Mapping[str, JsonValue]) -> Path:
    """Write the response of this user, as one to this attempt and no other; the file appears whole.

    In the folder that people share, others may read it, whatever files of this user they may read otherwise.
    """
    named = {
        **document,
        "task_id": question.task_id,
        "attempt_id": question.attempt_id,
        "shown_sha256": question.sha256,
    }
    path = _free_path(question.folder / RESPONSES) if question.is_seen_by_others else _own_path(question)
    replace_file(path, json_file(named), mode=0o644, exactly=question.is_seen_by_others)
    return path


def _own_path(question: Question) -> Path:
    if question.approvals == 1:
        return question.folder / RESPONSE
    return question.folder / RESPONSES / f"{current_user()}.json"


def _free_path(folder: Path) -> Path:
    """Give where this user may write: whoever has put a file under that name keeps nobody from answering."""
    for number in itertools.count():
        path = folder / f"{current_user().replace('/', '_')}{f'-{number}' if number else ''}.json"
        if not os.path.lexists(path) or path.lstat().st_uid == os.getuid():
            return path
    raise AssertionError


def _silence(question: Question) -> Answer:
    if question.then == "approve":
        return Answer(status=COMPLETED, data={"approved": True})
    error = "nobody answered in time" if question.then == "fail" else "rejected: nobody answered in time"
    return Answer(status=FAILED, data={"approved": False}, error=error)


def _paths(question: Question) -> Iterable[Path]:
    return (*_local_paths(question), *posted_answers(question))


def _local_paths(question: Question) -> Iterable[Path]:
    if question.is_seen_by_others:
        return ()
    if question.approvals > 1:
        return sorted((question.folder / RESPONSES).glob("*.json"))
    only = f"{question.folder}/{RESPONSE}"  # asked for so often that making a path of it counts
    return (Path(only),) if os.path.lexists(only) else ()
