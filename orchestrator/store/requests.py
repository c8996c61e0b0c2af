"""Record what somebody asks of a run, whoever drives it, and find what is asked and has not come about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import UsageError
from orchestrator.states import ENDED_RUNS, RunState
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from orchestrator.store.queries import read_open_attempts, read_run


class Wish(StrEnum):
    """What may be asked of a run that somebody drives."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL_ATTEMPT = "cancel-attempt"


_DONE = {Wish.CANCEL: "cancelled", Wish.PAUSE: "paused", Wish.RESUME: "resumed", Wish.CANCEL_ATTEMPT: "cancelled"}
_SETTLING = "'run.requested', 'run.paused', 'run.completed', 'run.failed', 'run.cancelled'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A wish of one person: ``seq`` is its event's number, ``attempt_id`` is empty where the whole run is meant."""

    seq: int
    wish: Wish
    by: str
    reason: str = ""
    attempt_id: str = ""

    @property
    def told(self) -> str:
        """Give it as the reason of what comes of it: ``cancelled by ada: too hot``."""
        return f"{_DONE[self.wish]} by {self.by}{f': {self.reason}' if self.reason else ''}"


class Inbox:
    """What others ask of a run while this process drives it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: object = None
        self._seen = 0

    def fresh(self) -> tuple[Request, ...]:
        """Give the open requests that were not given before; that costs a look where nobody else has written."""
        version = self._database.one("PRAGMA data_version")
        if version == self._version:
            return ()
        self._version = version
        found = tuple(request for request in open_requests(self._database) if request.seq > self._seen)
        self._seen = max((request.seq for request in found), default=self._seen)
        return found


def record_request(
    database: Database, wish: Wish, *, by: str, host: str, reason: str = "", attempt_id: str = ""
) -> Request:
    """Record a wish in the transaction of the caller.

    Raises `UsageError` for a run that has ended, a pause of one that is paused, and an attempt that is not open.
    """
    _refuse_late(database, wish, attempt_id)
    payload = {
        "run_id": database.run_root.name,
        "request": wish.value,
        "by": by,
        "host": host,
        "reason": reason,
        "attempt_id": attempt_id,
    }
    seq = append_event(database, "run.requested", payload)
    return Request(seq=seq, wish=wish, by=by, reason=reason, attempt_id=attempt_id)


def open_requests(database: Database) -> tuple[Request, ...]:
    """Give what was asked and has not come about, oldest first; the end of a run answers all, its pause each pause."""
    found: list[Request] = []
    for seq, kind, text in database.all(
        f"SELECT seq, kind, payload_json FROM events WHERE kind IN ({_SETTLING}) ORDER BY seq"  # noqa: S608  fixed words
    ):
        if kind == "run.requested":
            request = _read(seq, text)
            found = _without_pauses(found) if request.wish is Wish.RESUME else [*found, request]
        else:
            found = _without_pauses(found) if kind == "run.paused" else []
    return tuple(found)


def _refuse_late(database: Database, wish: Wish, attempt_id: str) -> None:
    run = read_run(database)
    if run.status in ENDED_RUNS:
        raise UsageError(f"run {run.run_id} is {run.status} already", hint=f"see: matterstack explain {run.run_id}")
    if wish is Wish.PAUSE and run.status is RunState.PAUSED:
        raise UsageError(f"run {run.run_id} is paused already", hint=f"go on with: matterstack resume {run.run_id}")
    if wish is Wish.CANCEL_ATTEMPT and attempt_id not in {row.attempt_id for row in read_open_attempts(database)}:
        raise UsageError(f"attempt {attempt_id} of run {run.run_id} is not open", hint="see 'matterstack attempts'")


def _read(seq: int, text: str) -> Request:
    payload = json.loads(text)
    return Request(
        seq=seq,
        wish=Wish(payload["request"]),
        by=payload["by"],
        reason=payload["reason"],
        attempt_id=payload["attempt_id"],
    )


def _without_pauses(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request.wish is not Wish.PAUSE]
