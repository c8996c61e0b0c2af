"""Print and read times as Slurm does."""

from __future__ import annotations

import os
import time

from orchestrator.operators.slurm.answers import read_duration


def local_time(at: float | None, otherwise: str = "N/A") -> str:
    """Give a time in the zone and the form that the environment asks for."""
    if at is None:
        return otherwise
    form = os.environ.get("SLURM_TIME_FORMAT", "standard")
    return time.strftime("%Y-%m-%dT%H:%M:%S" if form == "standard" else form, time.localtime(at))


def limit_text(minutes: float) -> str:
    """Give a time limit as sinfo prints it."""
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:00"
    return f"{hours}:{minutes:02}:00" if hours else f"{minutes}:00"


def read_minutes(text: str) -> float:
    """Read a time limit, rounded up to minutes; raise `ValueError` for a text that is none."""
    seconds = read_duration(text)
    return float("inf") if seconds is None else float(max(1, -(-int(seconds) // 60)))
