"""Have an instrument measure: the operator behind the keys of kind ``experiment``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from orchestrator.checks import mismatch
from orchestrator.errors import InstrumentAwayError, ScriptletError
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import STARTED
from orchestrator.operators.assignments import Assignment, Sighting, answered, one_by_one, unrestored
from orchestrator.operators.gathering import Choice, gather
from orchestrator.operators.instruments.measurement import COMPLETED, ENDED, RUNNING, Instrument, Reading, Request
from orchestrator.operators.staging import stage
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

_LOOKS_EVERY_SEC = 0.5
_MAX_ABORTS = 3
_NOT_BEGUN = "the instrument was not told yet: go on with the run"


class Laboratory:
    """Hands requests to an instrument, and looks for results. One that cannot be reached is asked again."""

    looks_every_sec = _LOOKS_EVERY_SEC

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._held: dict[str, Assignment] = {}
        self._to_begin: set[str] = set()
        self._told: dict[str, tuple[AttemptState, str]] = {}
        self._aborts: dict[str, int] = {}

    def fileno(self) -> int | None:
        """Give nothing: no instrument tells by itself."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Put the files of requests in place, and have them measured, unless that was done."""
        return one_by_one(assignments, self._begun)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Ask for measurements that the instrument has taken on."""
        self._held.update((one.attempt_id, one) for one in assignments)
        return iter(())

    def look(self) -> Iterator[Sighting]:
        """Give the measurements that ended, or of which something else is known than before."""
        for attempt_id, assignment in list(self._held.items()):
            sighting = self._seen(assignment)
            if sighting.done is not None:
                self._forget(attempt_id)
                yield sighting
            elif self._told.get(attempt_id) != (sighting.state, sighting.note):
                self._told[attempt_id] = sighting.state, sighting.note
                yield replace(sighting, operator_data=_kept(sighting))

    def cancel(self, attempts: Collection[str]) -> None:
        """Have the instrument stop, now or when it can be reached."""
        for attempt_id in attempts:
            self._aborts.setdefault(attempt_id, 0)

    def close(self) -> None:
        """Let the instrument go; what it measures goes on."""
        self._instrument.leave()

    def _begun(self, assignment: Assignment) -> Sighting:
        attempt_id = assignment.attempt_id
        told = stage(assignment, durable=True)
        note = ""
        try:
            self._instrument.start(_request(assignment))
        except InstrumentAwayError as error:
            note = error.message
        self._held[attempt_id] = assignment
        self._to_begin.add(attempt_id)
        state = AttemptState.WAITING_EXTERNAL
        self._told[attempt_id] = state, note
        data = {**told, "note": note or None}
        return Sighting(attempt_id=attempt_id, state=state, external_id=attempt_id, note=note, operator_data=data)

    def _forget(self, attempt_id: str) -> None:
        del self._held[attempt_id]
        self._to_begin.discard(attempt_id)
        self._told.pop(attempt_id, None)
        self._aborts.pop(attempt_id, None)

    def _seen(self, assignment: Assignment) -> Sighting:
        attempt_id = assignment.attempt_id
        if attempt_id in self._aborts:
            return self._stopped(assignment)
        if attempt_id not in self._to_begin and not os.path.lexists(assignment.folder / STARTED):
            return Sighting(attempt_id=attempt_id, state=AttemptState.WAITING_EXTERNAL, note=_NOT_BEGUN)
        try:
            if not os.path.lexists(assignment.folder):  # somebody has removed it
                stage(assignment, durable=True)
            reading = self._instrument.poll(_request(assignment))
        except ScriptletError as error:
            return unrestored(assignment, "result_v1", error)
        except InstrumentAwayError as error:
            return Sighting(attempt_id=attempt_id, state=AttemptState.WAITING_EXTERNAL, note=error.message)
        if reading.state == ENDED:
            return Sighting(attempt_id=attempt_id, state=AttemptState.COLLECTING, done=_done(assignment, reading))
        state = AttemptState.RUNNING if reading.state == RUNNING else AttemptState.WAITING_EXTERNAL
        return Sighting(attempt_id=attempt_id, state=state, note=reading.note)

    def _stopped(self, assignment: Assignment) -> Sighting:
        """End a measurement; where the instrument cannot be told after some tries, it ends for us all the same."""
        attempt_id = assignment.attempt_id
        self._aborts[attempt_id] += 1
        told: dict[str, JsonValue] = {"note": None}
        try:
            self._instrument.abort(_request(assignment))
        except InstrumentAwayError as error:
            if self._aborts[attempt_id] < _MAX_ABORTS:
                return Sighting(attempt_id=attempt_id, state=AttemptState.WAITING_EXTERNAL, note=error.message)
            told["not_told_to_stop"] = error.message
        done = Done(attempt_id=attempt_id, exit_code=None, duration_sec=assignment.age_sec, operator_data=told)
        return Sighting(attempt_id=attempt_id, state=AttemptState.COLLECTING, done=done)


def _kept(sighting: Sighting) -> dict[str, JsonValue]:
    """Keep with the attempt why it waits; how a measurement comes on changes too often for that."""
    waits = sighting.state is AttemptState.WAITING_EXTERNAL and sighting.note
    return {"note": sighting.note if waits else None}


def _request(assignment: Assignment) -> Request:
    return Request(
        token=assignment.attempt_id,
        task_id=assignment.task_id,
        folder=assignment.folder,
        config=assignment.params,
        files=tuple(assignment.work.get("files", {})),
    )


def _done(assignment: Assignment, reading: Reading) -> Done:
    schema = assignment.work.get("result_schema") or {}
    error = "" if reading.status == COMPLETED else reading.error or "the instrument has failed"
    error = error or (mismatch("result", reading.data, schema) if schema else "")
    left = gather(assignment.folder, Choice(list(assignment.work.get("files", {})))).to_json()
    return answered(assignment, "result_v1", reading.data, {**left, "note": None}, error=error)
