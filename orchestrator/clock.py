"""Tell the time: wall time as text for records, monotonic seconds for durations, also across processes."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

monotonic = time.monotonic


def utc_now() -> str:
    """Give the present in UTC, ISO-8601 with microseconds and ``Z``."""
    second, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{rest // 1000:06d}Z"


@functools.lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def jittered(sec: float) -> float:
    """Give a pause that is up to half as long again, so that many do not come back at once."""
    return sec * random.uniform(1.0, 1.5)  # noqa: S311  nobody gains by guessing it


def utc_after(sec: float) -> str:
    """Give the time in so many seconds, as `utc_now` gives it."""
    at = datetime.fromtimestamp(time.time() + sec, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_between(start: str, end: str) -> float:
    """Give the seconds from one time to another, both as `utc_now` gives them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def uptime() -> dict[str, str | float]:
    """Give the seconds since this machine was started, asleep or not, and which start that was; nothing without Linux.

    The clock of the machine can be set without a change of it.
    """
    start = start_of_machine()
    return {"boot_id": start, "sec": up_sec()} if start else {}


def up_sec() -> float:
    """Give the seconds since this machine was started, asleep or awake: the same for all of its processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def seconds_since(at: str, uptime_then: Mapping[str, Any]) -> float:
    """Give the seconds since a moment, of which ``at`` is the wall time and ``uptime_then`` what `uptime` said.

    Where the machine was started anew since, or is another one, there is but the wall time to go by. Never negative.
    """
    now = uptime()
    if now and uptime_then.get("boot_id") == now["boot_id"]:
        return max(0.0, float(now["sec"]) - float(uptime_then["sec"]))
    return max(0.0, seconds_between(at, utc_now()))


@functools.cache
def start_of_machine() -> str:
    """Give a text that this start of the machine alone has; empty without Linux."""
    try:
        found = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return found if hasattr(time, "CLOCK_BOOTTIME") else ""


def run_stamp() -> str:
    """Give the present in UTC as ``YYYYMMDD_HHMMSS``, the first part of a run id."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
