"""Answer what a run asks people, in the name of who runs this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.clock import utc_now
from orchestrator.errors import UsageError
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.asking import COMPLETED, FAILED, Question, current_user
from orchestrator.operators.human import given


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
    file: str = happen("attempt.answered", {"posting": str(folder), "response": dict(document)})[
        "_response.recorded_v1"
    ]["file"]
    return file


def record_answer(run_root: Path, task_id: str, document: Mapping[str, JsonValue]) -> str:
    """Record an answer and give the name of its file; raise `UsageError` for one that would not count."""
    answered = {"run_root": str(run_root), "task_id": task_id, "response": dict(document)}
    file: str = happen("attempt.answered", answered)["_response.recorded_v1"]["file"]
    return file
