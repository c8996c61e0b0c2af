"""Ask people by files in the attempt's directory, and read what they answer, whoever wrote it and however slowly."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.checks import mismatch
from orchestrator.files import replace_file
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import ANSWERED, INSTRUCTIONS, REFUSED, RESPONSE, RESPONSES, SCHEMA
from orchestrator.operators.answers import NotYetError, RefusedError, read_written
from orchestrator.operators.asking import COMPLETED, FAILED, Answer, Question, Refusal, Response, current_user
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
        **question.terms(),
        "answer_with": RESPONSE if question.approvals == 1 else f"{RESPONSES}/<user>.json",
    }
    return stage(assignment, texts, manifest, durable=True)


def answer(question: Question, now_utc: str) -> Answer:
    """Say what came of a question so far.

    A response that is half written, malformed, or by somebody who may not answer, is waited out; one whose data do not
    fit the schema is refused. With several approvals each counts once for each user, wherever it was given; one
    rejection ends the question.
    """
    if (came := decided(question)) is not None:
        return came
    read = read_responses(question)
    rejections = [response for response in read.found if response.status == FAILED]
    if rejections:
        first = rejections[0]
        error = first.error or f"rejected by {first.by}"
        return Answer(status=FAILED, data=first.data, error=error, responses=(first,), refused=read.refused)
    by_user = {response.by: response for response in read.found}
    if len(by_user) >= question.approvals:
        taken = tuple(by_user.values())[: question.approvals]
        return Answer(status=COMPLETED, data=taken[-1].data, responses=taken, refused=read.refused)
    if question.deadline_at and now_utc >= question.deadline_at:
        return dataclasses.replace(_silence(question), refused=read.refused)
    waits = [*read.waits, *(refusal.told for refusal in read.refused)]
    if question.approvals > 1 and by_user:
        waits.append(f"{len(by_user)} of {question.approvals} approvals")
    return Answer(waits_for="; ".join(waits), refused=read.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The responses to a question: those that count, why others do not yet, and those that do not fit the schema."""

    found: tuple[Response, ...]
    waits: tuple[str, ...]
    refused: tuple[Refusal, ...]


def read_responses(question: Question) -> Read:
    """Read all responses to a question.

    Those that are out of the way are read too: whoever mended one while it was moved has answered.
    """
    found: list[Response] = []
    waits: list[str] = []
    refused: list[Refusal] = []
    for path in _paths(question):
        place = path.relative_to(question.folder) if path.is_relative_to(question.folder) else path
        try:
            found.append(read_response(question, path))
        except RefusedError as error:
            is_aside = path.parent.name == REFUSED
            refused.append(Refusal(path=path, told=f"{place} is refused: {error}", is_aside=is_aside))
        except NotYetError as error:
            waits.append(f"{place}: {error}")
    return Read(found=tuple(found), waits=tuple(waits), refused=tuple(refused))


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
        file=_kept_name(written.by) if is_posted else path.relative_to(question.folder).as_posix(),
        sha256=hashlib.sha256(written.raw).hexdigest(),
        raw=written.raw,
    )


def _kept_name(by: str) -> str:
    """Give where the answer of a user is kept below the attempt's directory when its posting is gone."""
    return f"{ANSWERED}/{RESPONSES}/{by.replace('/', '_')}.json"


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
        raise RefusedError(problem)


def _check_meant(question: Question, document: Mapping[str, Any]) -> None:
    for name in ("task_id", "attempt_id"):
        if document.get(name, getattr(question, name)) != getattr(question, name):
            raise NotYetError(f"it answers another question: {name} is {document[name]!r}")
    if document.get("shown_sha256", question.sha256) != question.sha256:
        raise NotYetError("it answers other words or files than those of the question")


def folder_for_refused(question: Question, path: Path) -> Path:
    """Give the folder for a response that is refused: in the attempt's directory, or in the posting, where it lay."""
    is_posted = question.posting is not None and path.is_relative_to(question.posting)
    return (question.posting if question.posting and is_posted else question.folder) / REFUSED


def given(question: Question) -> Response | None:
    """Give the answer that this user, or for one approval anybody, has given already."""
    mine = [
        response
        for response in read_responses(question).found
        if question.approvals == 1 or response.by == current_user()
    ]
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
    # Asked for so often that making paths of them counts.
    only, aside = f"{question.folder}/{RESPONSE}", f"{question.folder}/{REFUSED}"
    if question.approvals > 1:
        here = sorted((question.folder / RESPONSES).glob("*.json"))
    else:
        here = [Path(only)] if os.path.lexists(only) else []
    return (*here, *sorted(Path(aside).glob("*.json"))) if os.path.lexists(aside) else here
