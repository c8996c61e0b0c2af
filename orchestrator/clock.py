"""Tell the time: wall time as text for records, monotonic seconds for durations."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime

monotonic = time.monotonic


def utc_now() -> str:
    """Give the present in UTC, ISO-8601 with microseconds and ``Z``."""
    second, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{rest // 1000:06d}Z"


@functools.lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def utc_after(sec: float) -> str:
    """Give the time in so many seconds, as `utc_now` gives it."""
    at = datetime.fromtimestamp(time.time() + sec, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_between(start: str, end: str) -> float:
    """Give the seconds from one time to another, both as `utc_now` gives them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def run_stamp() -> str:
    """Give the present in UTC as ``YYYYMMDD_HHMMSS``, the first part of a run id."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
