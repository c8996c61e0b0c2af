"""Tell people that something waits for them, by webhooks and programs; what fails is a note, not an error."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.clock import utc_now
from orchestrator.files import replace_file
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import NOTIFIED
from orchestrator.operators.asking import Question
from orchestrator.operators.programs import converse
from orchestrator.operators.web import UnreachableError, send
from orchestrator.wiring.model import Notify
from orchestrator.workers.pool import step_environment

TIMEOUT_SEC = 10.0

_ANSWER_BYTES = 64 * 1024
_GOOD = range(200, 300)


def tell(ways: Sequence[Notify], question: Question, run_id: str) -> tuple[str, ...]:
    """Tell people of a question that was asked, unless they were told before, and give notes of what failed.

    That they were told is kept in the question's folder after the first way that works. A process that dies in between
    leaves it to the next one, so people are told at least once and may be told twice.
    """
    path = question.folder / NOTIFIED
    if not ways or os.path.lexists(path):
        return ()
    notes = notify(ways, notification(question, run_id))
    if len(notes) < len(ways):
        replace_file(path, f"{dumps({'at_utc': utc_now(), 'failed': list(notes)})}\n".encode(), mode=0o644)
    return notes


def notification(question: Question, run_id: str) -> dict[str, JsonValue]:
    """Give what people are told of a question."""
    return {
        "run_id": run_id,
        "task_id": question.task_id,
        "attempt_id": question.attempt_id,
        "instructions": question.instructions,
        "answer_with": f"matterstack respond {_where(question, run_id)}",
        "deadline_at_utc": question.deadline_at or None,
        "shown_sha256": question.sha256,
    }


def _where(question: Question, run_id: str) -> str:
    """Give what the command is told that answers; only what is posted can be answered by those who cannot read runs."""
    return shlex.quote(str(question.posting)) if question.posting else f"{run_id} {shlex.quote(question.task_id)}"


def notify(ways: Sequence[Notify], document: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Send a document each way, for at most ten seconds each, and give a note for each way that failed.

    No note holds an address or an argument of a program, which may be secret.
    """
    told = [_post(way.webhook, document) if way.webhook else _call(way.command, document) for way in ways]
    return tuple(f"notify {number}: {fault}" for number, fault in enumerate(told, 1) if fault)


def _post(webhook: str, document: Mapping[str, JsonValue]) -> str:
    try:
        replied = send("POST", webhook, document, timeout_sec=TIMEOUT_SEC, cap=_ANSWER_BYTES)
    except UnreachableError as error:
        return f"the webhook was not reached: {error}"
    return "" if replied.status in _GOOD else f"the webhook answered with status {replied.status}"


def _call(command: tuple[str, ...], document: Mapping[str, JsonValue]) -> str:
    text = f"{dumps(document)}\n".encode()
    env = step_environment(os.environ)
    called = converse(command, text, env=env, timeout_sec=TIMEOUT_SEC, cap=_ANSWER_BYTES)
    return f"the program {Path(command[0]).name!r} failed: {called.fault}" if called.fault else ""
