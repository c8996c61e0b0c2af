"""Reach an instrument by a driver program: a request on its standard input, one line of JSON as the answer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import DriverMissingError, InstrumentAwayError
from orchestrator.jsonsafe import dumps
from orchestrator.operators.answers import NotYetError, document_of
from orchestrator.operators.instruments.measurement import Reading, Request
from orchestrator.operators.instruments.results import CAP_BYTES, Said, checked, read_answer
from orchestrator.operators.programs import converse
from orchestrator.workers.pool import step_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLink:
    """A program that is called with ``start``, ``poll`` or ``abort``; each call may take ``timeout_sec``."""

    command: tuple[str, ...]
    timeout_sec: float

    def begin(self, request: Request) -> Reading:
        """Call it with ``start``."""
        return checked(self._said("start", request), request.folder)

    def look(self, request: Request) -> Reading:
        """Call it with ``poll``."""
        return checked(self._said("poll", request), request.folder)

    def end(self, request: Request) -> None:
        """Call it with ``abort``."""
        self._answer("abort", request)

    def _said(self, verb: str, request: Request) -> Said:
        answer = self._answer(verb, request)
        try:
            return read_answer(document_of(_one_line(answer)), request)
        except NotYetError as error:
            raise NotYetError(f"the driver's answer to {verb!r}: {error}") from error

    def _answer(self, verb: str, request: Request) -> bytes:
        document = {**request.document(), "folder": str(request.folder.absolute())}
        called = converse(
            (*self.command, verb),
            f"{dumps(document)}\n".encode(),
            env=step_environment(os.environ),
            timeout_sec=self.timeout_sec,
            cap=CAP_BYTES,
        )
        if fault := called.fault:
            last = called.stderr.strip().rpartition("\n")[2][:500]
            message = f"driver {Path(self.command[0]).name!r}, called with {verb!r}: {fault}{last and f': {last}'}"
            # What it was told before may be under way, so only a start that cannot be is the end of the attempt.
            if called.is_missing and verb == "start":
                raise DriverMissingError(message, hint="install it, make it executable, or mend the wiring")
            raise InstrumentAwayError(message, hint="call it by hand; it is called again until it answers")
        return called.stdout


def _one_line(answer: bytes) -> bytes:
    lines = answer.splitlines()
    if len(lines) != 1:
        raise NotYetError(f"expected one line, got {len(lines)}")
    return lines[0]
