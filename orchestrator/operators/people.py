"""Ask people: the operator behind the keys of kind ``human``."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from orchestrator.clock import seconds_between, utc_after, utc_now
from orchestrator.errors import InfrastructureError, ScriptletError
from orchestrator.files import set_aside
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import NOTIFIED, RESPONSES
from orchestrator.operators.answers import user_name
from orchestrator.operators.asking import COMPLETED, Answer, Question, question_of
from orchestrator.operators.assignments import Assignment, Sighting, answered, one_by_one, unrestored
from orchestrator.operators.decisions import keep
from orchestrator.operators.gathering import Choice, gather
from orchestrator.operators.human import answer, ask, folder_for_refused
from orchestrator.operators.notify import tell
from orchestrator.operators.postings import is_posted, post, withdraw
from orchestrator.operators.quorum import CODE as QUORUM
from orchestrator.operators.quorum import HINT, shortfall
from orchestrator.states import AttemptState
from orchestrator.wiring.model import HumanOperator, Notify
from orchestrator.workers.calls import Done, HumanCall

_LOOKS_EVERY_SEC = 0.5


class People:
    """Puts questions where people find them, tells them by the ways of the site, and looks for answers."""

    def __init__(self, ways: Sequence[Notify] = ()) -> None:
        self._ways = ways
        self._withdrawn: set[str] = set()
        self._asked: dict[str, tuple[Question, Assignment]] = {}
        self._told: dict[str, str] = {}
        self._adopted: set[str] = set()

    @property
    def looks_every_sec(self) -> float | None:
        """Look until somebody may have answered, or at the next deadline."""
        next_at = min((one.deadline_at for one, _ in self._asked.values() if one.deadline_at), default="")
        left = seconds_between(utc_now(), next_at) if next_at else _LOOKS_EVERY_SEC
        return max(0.0, min(_LOOKS_EVERY_SEC, left))

    def fileno(self) -> int | None:
        """Give nothing: nobody tells of an answer."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Put questions where people find them, or see that they are there."""
        return one_by_one(assignments, self._put)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Look for answers to questions that were asked."""
        self._asked.update((one.attempt_id, (question_of(one), one)) for one in assignments)
        self._adopted.update(one.attempt_id for one in assignments)
        return iter(())

    def look(self) -> Iterator[Sighting]:
        """Give the questions that were answered, that nobody answered in time, or that were withdrawn.

        One whose directory or posting somebody has removed is put once more. What was answered and does not count is
        told once.
        """
        now = utc_now()
        for question, assignment in list(self._asked.values()):
            came = self._answer(question, now)
            if (done := self._ended(question, assignment, came)) is not None:
                self._forget(question.attempt_id)
                yield Sighting(attempt_id=question.attempt_id, state=AttemptState.COLLECTING, done=done)
            elif question.attempt_id not in self._adopted and not os.path.lexists(question.folder):
                yield self._put_again(assignment)
            elif (note := self._standing_in_the_way(question, came)) != self._told.get(question.attempt_id, ""):
                self._told[question.attempt_id] = note
                if note:
                    yield _waiting(question, came, note)

    def _put(self, assignment: Assignment) -> Sighting:
        question = question_of(assignment)
        is_new = not os.path.lexists(question.folder)
        told = dict(ask(question, assignment))
        if is_new:
            post(question)
        if notes := tell(self._ways, question, question.run_id):
            told["notify"] = list(notes)
        self._asked[assignment.attempt_id] = question, assignment
        return Sighting(attempt_id=assignment.attempt_id, state=AttemptState.WAITING_EXTERNAL, operator_data=told)

    def _answer(self, question: Question, now: str) -> Answer:
        """Say what came of a question; what is refused is moved out of the way of better answers."""
        came = answer(question, now)
        in_the_way = [refusal for refusal in came.refused if not refusal.is_aside]
        if not in_the_way or question.attempt_id in self._adopted:
            return came
        for refusal in in_the_way:
            with contextlib.suppress(InfrastructureError):  # who has written it can write another all the same
                set_aside(refusal.path, folder_for_refused(question, refusal.path))
        return answer(question, now)

    def _standing_in_the_way(self, question: Question, came: Answer) -> str:
        """Say why there is no answer; what is not in the shared folder, or not any more, is posted there."""
        if question.posting is None or question.attempt_id in self._adopted or is_posted(question):
            return came.waits_for
        try:
            post(question)
        except ScriptletError as error:
            return "; ".join(filter(None, (came.waits_for, error.message)))
        return came.waits_for

    def _put_again(self, assignment: Assignment) -> Sighting:
        try:
            return self._put(assignment)
        except ScriptletError as error:
            self._forget(assignment.attempt_id)
            return unrestored(assignment, "response_v1", error)

    def _forget(self, attempt_id: str) -> None:
        del self._asked[attempt_id]
        self._told.pop(attempt_id, None)

    def _ended(self, question: Question, assignment: Assignment, came: Answer) -> Done | None:
        if question.attempt_id in self._withdrawn:
            return Done(
                attempt_id=question.attempt_id,
                exit_code=None,
                duration_sec=assignment.age_sec,
                operator_data=_taken_away(question),
            )
        if not came.status:
            return None
        if question.posting:
            keep(question, came)
        return _done(question, came, assignment)

    def cancel(self, attempts: Collection[str]) -> None:
        """Withdraw questions that nobody need answer any more."""
        self._withdrawn.update(attempts)

    def close(self) -> None:
        """Let the questions stay open; the next runner finds them, and what was answered meanwhile."""


def asked(call: HumanCall, operator: HumanOperator, run_root: Path) -> dict[str, JsonValue]:
    """Give what is recorded beside the words of a question: what an answer must be, by when, and whose counts.

    Raises `ScriptletError` where fewer people may answer than must approve.
    """
    starter = user_name(run_root.stat().st_uid) if operator.separation_of_duty else ""
    if wrong := shortfall(call.approvals, operator.approvers, starter):
        raise ScriptletError(wrong, hint=HINT, code=QUORUM)
    found: dict[str, JsonValue] = {
        "response_schema": dict(call.response_schema),
        "approvals": call.approvals,
        "then": call.then,
        "approvers": list(operator.approvers),
        "separation_of_duty": operator.separation_of_duty,
    }
    if operator.shared_folder is not None:
        found["shared_folder"] = operator.shared_folder
    if call.deadline_sec is not None:
        found["deadline_at"] = utc_after(call.deadline_sec)
    return found


def _waiting(question: Question, came: Answer, note: str) -> Sighting:
    """Say what keeps a question waiting; what was refused is recorded with its reason, once."""
    told = [refusal.told for refusal in came.refused]
    data: dict[str, JsonValue] = {"refused": [*told], "note": "; ".join(told)} if told else {}
    state = AttemptState.WAITING_EXTERNAL
    return Sighting(attempt_id=question.attempt_id, state=state, note=note, operator_data=data)


def _taken_away(question: Question) -> dict[str, JsonValue]:
    """Take the posting of a question away; one that has to stay there is told, and holds nothing up."""
    try:
        withdraw(question)
    except InfrastructureError as error:
        return {"left_behind": f"{question.posting}: {error.message}"}
    return {}


def _done(question: Question, came: Answer, assignment: Assignment) -> Done:
    responses: list[JsonValue] = [response.to_json() for response in came.responses]
    operator_data: dict[str, JsonValue] = {
        "responses": responses,
        "shown_sha256": question.sha256,
        "host": socket.gethostname(),
        **_taken_away(question),
        **gather(question.folder, Choice([*question.files, f"{RESPONSES}/.keep", NOTIFIED])).to_json(),
    }
    error = "" if came.status == COMPLETED else came.error
    return answered(assignment, "response_v1", came.data, operator_data, error=error)
