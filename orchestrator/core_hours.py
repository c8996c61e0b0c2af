"""Count core-hours: processor cores times the hours that they are asked for, or were used. Sums are in core-seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_SEC_PER_HOUR = 3_600
# Sums of core-seconds are compared after rounding to so many digits, since the last ones of a sum mean nothing.
_DIGITS = 3


def core_seconds(hours: float) -> float:
    """Turn core-hours into core-seconds."""
    return hours * _SEC_PER_HOUR


def core_hours(seconds: float) -> float:
    """Turn core-seconds into core-hours, for programs."""
    return round(seconds / _SEC_PER_HOUR, 6)


def exceeds(seconds: float, allowed: float) -> bool:
    """Tell whether a sum of core-seconds is more than is allowed."""
    return round(seconds, _DIGITS) > round(allowed, _DIGITS)


def told(seconds: float) -> str:
    """Give core-seconds as core-hours, for people."""
    hours = seconds / _SEC_PER_HOUR
    if not math.isfinite(hours):
        return "without end"
    return f"{hours:,.3f}".rstrip("0").rstrip(".") if hours >= 1 or hours == 0 else f"{hours:.3g}"


def cores_of(resources: Mapping[str, Any]) -> float:
    """Give the cores that an attempt has which asks for some resources: one where it does not say."""
    return float(resources.get("cores", 1))


def jobs_of(on_walltime: Mapping[str, Any] | None) -> int:
    """Give how many jobs one attempt may have, each of which goes on where the time of the one before was over."""
    return 1 + int((on_walltime or {}).get("restart", 0))


def asked_by(work: Mapping[str, Any]) -> float | None:
    """Give the core-seconds that a recorded attempt asks for, its continuations too; None without a time limit.

    ``work`` is what an operator is to do; it costs nothing where no program is run.
    """
    if "resources" not in work:
        return 0.0
    limit_sec = work.get("limit_sec")
    return (
        None if limit_sec is None else cores_of(work["resources"]) * float(limit_sec) * jobs_of(work.get("on_walltime"))
    )
