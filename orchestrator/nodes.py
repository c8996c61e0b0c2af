"""Describe a task as the engine sees it: what it waits for, what it holds, and when a failure is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

_GROWTH: dict[str, Callable[[int], float]] = {
    "fixed": lambda _: 1.0,
    "linear": float,
    "exponential": lambda failures: 2.0 ** (failures - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """How often and after how many seconds a failed task is attempted again; ``on`` names the faults that count."""

    max: int = 0
    delay_sec: float = 0.0
    backoff: str = "fixed"
    on: frozenset[str] = frozenset({"error", "timeout"})

    def delay_after(self, failures: int, cause: str) -> float | None:
        """Give the seconds to wait after the n-th failure, or None when there is no further attempt."""
        if failures > self.max or cause not in self.on:
            return None
        return self.delay_sec * _GROWTH[self.backoff](failures)

    def to_json(self) -> dict[str, object]:
        """Give the rule as part of what a task's definition is hashed from."""
        return {"max": self.max, "delay_sec": self.delay_sec, "backoff": self.backoff, "on": sorted(self.on)}


class Phase(IntEnum):
    """The parts of a recipe in the order in which they run; the second only where one of the first failed."""

    STEPS = 0
    ON_FAILURE = 1
    FINALLY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task as the board sees it.

    ``after`` holds the positions of the tasks that must succeed before it, ``after_end`` those that must only have
    ended. ``locks`` names what only one task at a time may hold. A group has no attempts of its own: it is expanded
    into tasks whose ``parent`` it is, and ends when they have; one that ``has_rounds`` uses a recipe that may repeat
    its steps. ``phase`` is that of the run, ``part`` that within its own recipe. What ``closes`` a used recipe runs
    even where no further step is started: it is the latest part of the task and of those that it stands below. What
    has an ``operator_key`` is carried out by that operator, and takes no place of those that run here.
    """

    task_id: str
    after: tuple[int, ...] = ()
    after_end: tuple[int, ...] = ()
    allow_failure: bool = False
    retry: RetryRule = field(default_factory=RetryRule)
    locks: tuple[str, ...] = ()
    phase: Phase = Phase.STEPS
    part: Phase = Phase.STEPS
    closes: Phase = Phase.STEPS
    operator_key: str = ""
    is_group: bool = False
    has_rounds: bool = False
    parent: int | None = None

    @property
    def waits_for(self) -> tuple[int, ...]:
        """Give the positions of all that must have ended before it, well or not."""
        return (*self.after, *self.after_end)
