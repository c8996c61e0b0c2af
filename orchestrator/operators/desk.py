"""Keep the questions of one run: ask them, look for answers, and take back those that nobody need answer any more."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.clock import seconds_between, utc_after, utc_now
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.operators.human import COMPLETED, Answer, Question, answer
from orchestrator.operators.questions import question_of
from orchestrator.store.database import Database
from orchestrator.workers.calls import Done, HumanCall

if TYPE_CHECKING:
    from orchestrator.wiring.reading import Wired

_LOOKS_EVERY_SEC = 0.5


class Desk:
    """The questions that wait for people, by attempt; ``operators`` says whom each operator key asks."""

    def __init__(self, database: Database, operators: Mapping[str, Wired]) -> None:
        self._database = database
        self._operators = operators
        self._questions: dict[str, Question] = {}

    @property
    def attempts(self) -> frozenset[str]:
        """Give the attempts whose questions are open."""
        return frozenset(self._questions)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Give the tasks whose questions are open, oldest first."""
        return tuple(question.task_id for question in self._questions.values())

    def asked(self, call: HumanCall) -> dict[str, JsonValue]:
        """Give what is recorded beside the words of a question: what an answer must be, by when, and whose counts."""
        operator: Any = self._operators[call.operator_key].operator
        found: dict[str, JsonValue] = {
            "response_schema": dict(call.response_schema),
            "approvals": call.approvals,
            "then": call.then,
        }
        if call.deadline_sec is not None:
            found["deadline_at"] = utc_after(call.deadline_sec)
        found["approvers"] = list(operator.approvers)
        found["separation_of_duty"] = operator.separation_of_duty
        return found

    def ask(self, attempt_id: str, task_id: str) -> None:
        """Put a question where people find it, or see that it is there."""
        which = {"task_id": task_id, "attempt_id": attempt_id}
        happen("attempt.created", {"run_root": str(self._database.run_root), **which})
        self._questions[attempt_id] = question_of(self._database, task_id, attempt_id)

    def patience_sec(self) -> float | None:
        """Give how long to wait until the next look: until somebody may have answered, or a deadline; None for ever."""
        if not self._questions:
            return None
        now = utc_now()
        left = [seconds_between(now, one.deadline_at) for one in self._questions.values() if one.deadline_at]
        return max(0.0, min(_LOOKS_EVERY_SEC, *left)) if left else _LOOKS_EVERY_SEC

    def answers(self) -> list[tuple[str, Answer]]:
        """Take the questions that were answered, or that nobody answered in time, with what came of them."""
        found = [(attempt_id, answer(question, utc_now())) for attempt_id, question in self._questions.items()]
        return [(attempt_id, came) for attempt_id, came in found if came.status]

    def done(self, attempt_id: str, came: Answer, step: str) -> Done:
        """Turn an answer into what came of a call, as if a program had given it; the question is closed."""
        question = self._questions.pop(attempt_id)
        is_ok = came.status == COMPLETED
        envelope: dict[str, JsonValue] = {"status": "ok", "outputs": {f"{step}.response_v1": came.data}}
        if not is_ok:
            envelope = {"status": "error", "reason": came.error, "exit_code": 1, "step": step}
        responses: list[JsonValue] = [
            {"by": response.by, "at_utc": response.at_utc, "status": response.status, "file": response.path.name}
            for response in came.responses
        ]
        return Done(
            attempt_id=attempt_id,
            exit_code=0 if is_ok else 1,
            stdout=dumps(envelope),
            duration_sec=max(0.0, seconds_between(question.asked_at, utc_now())),
            operator_data={"responses": responses, "shown_sha256": question.sha256, "host": socket.gethostname()},
        )

    def withdraw(self, attempts: Collection[str], fault: str) -> list[Done]:
        """Close questions that nobody need answer any more."""
        for attempt_id in attempts:
            del self._questions[attempt_id]
        return [Done(attempt_id=attempt_id, exit_code=None, fault=fault) for attempt_id in attempts]

    def leave(self) -> None:
        """Let the questions stay open without this runner; the next one finds them, and what was answered meanwhile."""
        self._questions = {}
