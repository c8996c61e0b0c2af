"""Tell what the states of jobs mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a job stands in its life. A state that nobody knows is ODD, and counts as going on."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    ODD = "ODD"


_PHASES = {
    **dict.fromkeys(
        (
            *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
            *("POWER_UP_NODE", "EXPEDITING"),
        ),
        Phase.WAITING,
    ),
    **dict.fromkeys(
        (
            *("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT", "UPDATE_DB"),
            # In a federation, another cluster carries the job out.
            *("POWERING_UP", "RECONFIG_FAIL", "REVOKED"),
        ),
        Phase.RUNNING,
    ),
    **dict.fromkeys(
        (
            *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "OUT_OF_MEMORY"),
            *("DEADLINE", "LAUNCH_FAILED"),
        ),
        Phase.ENDED,
    ),
}
_CANCELLED_BY = re.compile(r"CANCELLED by (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A job's state: Slurm's word for it, its phase, and the number of the user who cancelled the job where told."""

    word: str
    phase: Phase
    by: int | None = None


def read_state(text: str) -> State:
    """Read a state as the queue or the accounting tells it, such as ``CANCELLED by 1001``."""
    word = text.strip()
    if found := _CANCELLED_BY.fullmatch(word):
        return State(word="CANCELLED", phase=Phase.ENDED, by=int(found[1]))
    return State(word=word, phase=_PHASES.get(word, Phase.ODD))
