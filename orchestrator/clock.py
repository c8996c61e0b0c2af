"""Tell the time: wall time as text for records, monotonic seconds for durations."""

from __future__ import annotations

import time
from datetime import UTC, datetime

monotonic = time.monotonic


def utc_now() -> str:
    """Give the present in UTC, ISO-8601 with microseconds and ``Z``."""
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def run_stamp() -> str:
    """Give the present in UTC as ``YYYYMMDD_HHMMSS``, the first part of a run id."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
