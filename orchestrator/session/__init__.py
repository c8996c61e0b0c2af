"""Hold one run while it is driven: its lease, its worker processes, the signals that stop it, and its end."""

from __future__ import annotations

from orchestrator.session.changes import how_to_accept
from orchestrator.session.driving import drive_run
from orchestrator.session.holding import deliver_ended, held, keep_wiring
from orchestrator.session.open_attempts import lose
from orchestrator.session.options import Again, DriveOptions
from orchestrator.session.outcome import PAUSED_STATUS, Outcome

__all__ = [
    "PAUSED_STATUS",
    "Again",
    "DriveOptions",
    "Outcome",
    "deliver_ended",
    "drive_run",
    "held",
    "how_to_accept",
    "keep_wiring",
    "lose",
]
