"""Answer what a run asks people, in the name of who runs this."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.clock import utc_now
from orchestrator.errors import UsageError
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.asking import COMPLETED, FAILED, Question, current_user
from orchestrator.operators.human import Read, given, read_responses

# What silence means, by what the recipe says of it.
_SILENCE = {"fail": "the step fails", "reject": "it is rejected, and the step fails", "approve": "it is approved"}


def terms(question: Question) -> Iterator[str]:
    """Say how a question can be answered: what fits, who may, how many have, why others do not count, and by when."""
    if question.schema:
        yield f"an answer fits: {json.dumps(dict(question.schema), ensure_ascii=False)}"
    read = read_responses(question)
    by = approved_by(read)
    who = f" ({', '.join(by)})" if by else ""
    yield f"approvals: {len(by)} of {question.approvals} so far{who}"
    yield from (f"rejected by {one.by}" for one in read.found if one.status == FAILED)
    yield f"may answer: {', '.join(question.approvers) or 'anybody'}{_but(question)}"
    yield from (f"does not count: {why}" for why in (*read.waits, *(refusal.told for refusal in read.refused)))
    if question.deadline_at:
        yield f"to be answered by {question.deadline_at}; then {_SILENCE[question.then]}"


def approved_by(read: Read) -> list[str]:
    """Give who has approved, each once."""
    return list(dict.fromkeys(one.by for one in read.found if one.status == COMPLETED))


def _but(question: Question) -> str:
    return f"; not {question.asked_by}, who has started the run" if question.separation_of_duty else ""


def refuse_late(question: Question) -> None:
    """Raise `UsageError` where an answer cannot count any more: there is one already, or its time is over."""
    if earlier := given(question):
        raise UsageError(
            f"{question.task_id} was answered by {earlier.by} already", hint="the run takes that answer when it goes on"
        )
    if question.deadline_at and utc_now() >= question.deadline_at:
        raise UsageError(f"{question.task_id} was to be answered by {question.deadline_at}", hint="go on with the run")


def verdict(*, approves: bool, reason: str, said: JsonValue) -> dict[str, JsonValue]:
    """Give the answer that approves or rejects, with the reason and what else is said."""
    note = {"note": reason} if reason and approves else {}
    data: JsonValue = {"approved": approves, **note, **said} if isinstance(said, dict) else said
    if approves:
        return {"status": COMPLETED, "data": data}
    error = f"rejected by {current_user()}{f': {reason}' if reason else ''}"
    return {"status": FAILED, "data": data, "error": error}


def record_posted_answer(folder: Path, document: Mapping[str, JsonValue]) -> str:
    """Record an answer to a question that is posted in a folder; as `record_answer`."""
    return _record({"posting": str(folder)}, document)


def record_answer(run_root: Path, task_id: str, document: Mapping[str, JsonValue]) -> str:
    """Record an answer and give the name of its file; raise `UsageError` for one that would not count."""
    return _record({"run_root": str(run_root), "task_id": task_id}, document)


def _record(question: Mapping[str, JsonValue], document: Mapping[str, JsonValue]) -> str:
    recorded = happen("attempt.answered", {**question, "response": dict(document)})
    file: str = recorded["_response.recorded_v1"]["file"]
    return file
