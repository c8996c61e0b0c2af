"""Put an instrument behind its lock, and see to it that each request is measured once."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from orchestrator.clock import utc_now
from orchestrator.errors import DriverMissingError
from orchestrator.files import make_directory, replace_file, sweep_temporaries
from orchestrator.layout import REQUEST, STARTED
from orchestrator.operators.answers import NotYetError
from orchestrator.operators.instruments.measurement import (
    BUSY,
    ENDED,
    FAILED,
    UNKNOWN,
    WAITING,
    Link,
    Reading,
    Request,
    json_bytes,
)
from orchestrator.operators.instruments.turns import BusyError, Turn, take_turn

_FORGOTTEN = "the instrument does not know the measurement any more that it had taken on"


class Bench:
    """An instrument behind its lock, told once and asked as often as wanted.

    The request's file in the folder is written before the instrument is told, and another one when it has taken the
    request on. Whoever comes after a crash so knows whether to ask first, and never has it measure what it may have
    measured already. ``at_once`` is how many measurements the runs of this host have there at a time, None any number.
    """

    def __init__(self, link: Link, *, identity: str, at_once: int | None) -> None:
        self._link = link
        self._identity = identity
        self._at_once = at_once
        self._turns: dict[str, Turn] = {}

    def start(self, request: Request) -> str:
        """Have the instrument measure, unless it took the request on before or is busy; give the token."""
        if not os.path.lexists(request.folder / STARTED):
            self.poll(request)
        return request.token

    def poll(self, request: Request) -> Reading:
        """Say what is known of the measurement, and start it where that was not done."""
        try:
            reading = self._reached(request)
        except BusyError as error:
            return Reading(state=WAITING, note=f"the instrument is busy: {error}")
        except NotYetError as error:
            return Reading(state=WAITING, note=str(error))
        if reading.state == ENDED:
            self._let_go(request)
        return reading

    def abort(self, request: Request) -> None:
        """Stop the measurement where the instrument may have been told, and let the instrument go."""
        if os.path.lexists(request.folder / REQUEST):
            self._link.end(request)
        self._let_go(request)

    def leave(self) -> None:
        """Let the instrument go; what it measures goes on."""
        for turn in self._turns.values():
            turn.let_go()
        self._turns.clear()

    def _reached(self, request: Request) -> Reading:
        reading = Reading(state=UNKNOWN)
        if os.path.lexists(request.folder / REQUEST):
            reading = self._link.look(request)
        if reading.state == BUSY:
            return replace(reading, state=WAITING)
        if reading.state != UNKNOWN:
            return self._known(request, reading)
        if os.path.lexists(request.folder / STARTED):
            return Reading(state=ENDED, status=FAILED, error=_FORGOTTEN)
        return self._begun(request)

    def _known(self, request: Request, reading: Reading) -> Reading:
        if reading.state != ENDED:
            self._record(request)
            # It measures for us already, so there is nothing to wait for where somebody else has the lock.
            with contextlib.suppress(BusyError):
                self._hold(request)
        return reading

    def _begun(self, request: Request) -> Reading:
        self._hold(request)
        if not os.path.lexists(request.folder / REQUEST):
            make_directory(request.folder)
            sweep_temporaries(request.folder)  # nobody was told yet, so nobody else writes here
            replace_file(request.folder / REQUEST, json_bytes(request.document()), mode=0o644)
        try:
            reading = self._link.begin(request)
        except DriverMissingError:
            self._let_go(request)
            raise
        if reading.state in {BUSY, UNKNOWN}:
            self._let_go(request)
            return Reading(state=WAITING, note=reading.note or "the instrument is busy")
        return self._known(request, reading)

    def _record(self, request: Request) -> None:
        """Keep that the instrument has taken the request on."""
        path = request.folder / STARTED
        if not os.path.lexists(path):
            replace_file(path, json_bytes({"token": request.token, "at_utc": utc_now()}), mode=0o644)

    def _hold(self, request: Request) -> None:
        if self._at_once is not None and request.token not in self._turns:
            note = f"process {os.getpid()} measures {request.task_id} in {request.folder}"
            self._turns[request.token] = take_turn(self._identity, self._at_once, note)

    def _let_go(self, request: Request) -> None:
        if turn := self._turns.pop(request.token, None):
            turn.let_go()
