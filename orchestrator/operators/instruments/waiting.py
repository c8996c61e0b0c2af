"""Say what a measurement waits for, which depends on how its instrument is reached."""

from __future__ import annotations

from orchestrator.layout import RESULT
from orchestrator.wiring.model import CommandBackend, FilesBackend, HttpBackend
from orchestrator.wiring.reading import Wired

_WAITS = {
    FilesBackend: f"waits for {RESULT} in the attempt's directory",
    CommandBackend: "waits for the instrument; its driver is asked for the result",
    HttpBackend: "waits for the instrument; its address is asked for the result",
}


def waits_for(wired: Wired | None) -> str:
    """Say it for what an operator key is wired to; where that is no instrument of ours, only that it waits."""
    return _WAITS.get(type(wired.backend) if wired else type(None), "waits for a result")  # type: ignore[arg-type]
