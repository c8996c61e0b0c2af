"""Say what an instrument is told and what is known of a measurement, whatever way it is reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.jsonsafe import JsonValue

WAITING = "waiting"
RUNNING = "running"
ENDED = "ended"
# These two pass between a link and its bench alone.
UNKNOWN = "unknown"
BUSY = "busy"

COMPLETED = "COMPLETED"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an instrument is told; ``token`` is the attempt's id, which is unique and the same after a crash.

    ``files`` are the names of inputs that lie in ``folder``, the attempt's directory.
    """

    token: str
    task_id: str
    folder: Path
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def document(self) -> dict[str, JsonValue]:
        """Give the request as instruments read it, without the place of its folder."""
        return {
            "task_id": self.task_id,
            "token": self.token,
            "parameters": dict(self.parameters),
            "config": dict(self.config),
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of a measurement.

    ``state`` is ``waiting``, ``running`` or ``ended``; ``status`` is ``COMPLETED`` or ``FAILED`` where it has ended.
    ``files`` are the names of results that lie in the request's folder. ``note`` is for people: why it waits.
    """

    state: str
    status: str = ""
    data: JsonValue = None
    files: tuple[str, ...] = ()
    error: str = ""
    note: str = ""


class Instrument(Protocol):
    """What measures for steps, for one thread at a time.

    Each call may raise `InstrumentAwayError`, which means: ask again later; the measurement may be under way. Only
    `DriverMissingError` means that nothing was begun, nor will be.
    """

    def start(self, request: Request) -> str:
        """Have it measure, unless it was told before, and give the external id, which is the token.

        A busy instrument is told later, by `poll`.
        """

    def poll(self, request: Request) -> Reading:
        """Say what is known of the measurement; what was not started for whatever reason is started."""

    def abort(self, request: Request) -> None:
        """Have it stop measuring and let it go, whether or not it had begun."""

    def leave(self) -> None:
        """Let the instrument go without stopping what it measures; the next process asks what came of it."""


class Link(Protocol):
    """A way to reach an instrument; beside what `Instrument` raises, each call may raise `NotYetError`."""

    def begin(self, request: Request) -> Reading:
        """Tell it to measure; told again with the same token it measures no second time.

        The state is ``busy`` where it has not taken the request on and it is to be told again.
        """

    def look(self, request: Request) -> Reading:
        """Ask for the measurement; the state is ``unknown`` where the instrument has never heard of it."""

    def end(self, request: Request) -> None:
        """Tell it to stop; one that is over, or unknown, is no error."""


def json_bytes(document: Mapping[str, JsonValue]) -> bytes:
    """Give a document as a file that people can read."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "surrogatepass")
