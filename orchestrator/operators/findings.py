"""Say what a look at an operator found: whether something is as it must be, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How something is: as it must be, worth a look, or so that steps will fail or wait."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, what was found, and what to do where it is not as it must be."""

    what: str
    found: str
    verdict: Verdict = Verdict.OK
    todo: str = ""
