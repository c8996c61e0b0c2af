"""Bound what an expression may hold and take, so that no recipe can hang or fill the machine that reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

from orchestrator.expressions.faults import FaultError
from orchestrator.jsonsafe import MAX_DEPTH, MAX_INTEGER, JsonValue

MAX_LENGTH = 4_096
MAX_NESTING = 64
MAX_LOOPS = 4
MAX_NODES = 100_000
MAX_SIZE = 1_000_000
MAX_WORK = 2_000_000
MAX_RANGE = 10_000
MAX_DIGITS = 30
MAX_EXPONENT = 64

SIZED = frozenset({str, list, dict})


class Budget:
    """What one evaluation may still take: operations, and elements and characters that it goes through or builds."""

    __slots__ = ("nodes_left", "work_left")

    def __init__(self) -> None:
        self.nodes_left = MAX_NODES
        self.work_left = MAX_WORK

    def count(self) -> None:
        """Take one operation."""
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise FaultError(f"it takes more than {MAX_NODES:,} operations", hint="compute it in a step")

    def spend(self, work: int) -> None:
        """Take as many elements and characters."""
        self.work_left -= work
        if self.work_left < 0:
            what = f"it goes through more than {MAX_WORK:,} elements and characters"
            raise FaultError(what, hint="compute it in a step")

    def built(self, value: JsonValue) -> JsonValue:
        """Take the size of a value that was just built and give the value; refuse one too large or too deep."""
        self.spend(weigh(value, MAX_SIZE))
        return value


def weigh(value: object, limit: int) -> int:
    """Count the elements and characters of a value, at all depths; refuse one above ``limit`` without counting on."""
    if type(value) not in SIZED:
        return 1
    if isinstance(value, str):
        return len(value)
    total, level = 0, [value]
    for _ in range(MAX_DEPTH):
        total += sum(map(len, level))  # type: ignore[arg-type]
        refuse_above(limit, total)
        parts = [part for whole in level for part in _members(whole) if type(part) in SIZED]
        total += sum(len(part) for part in parts if type(part) is str)
        refuse_above(limit, total)
        level = [part for part in parts if type(part) is not str]
        if not level:
            return total
    raise FaultError(f"a value is nested deeper than {MAX_DEPTH} levels")


def refuse_above(limit: int, size: int) -> None:
    """Refuse a value of this size."""
    if size > limit:
        raise FaultError(f"a value has more than {limit:,} elements and characters", hint="compute it in a step")


def is_json_number(value: object) -> bool:
    """Tell whether JSON carries this number unchanged: a finite one, or an integer within ±(2^53-1)."""
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    return isinstance(value, float) and math.isfinite(value)


def _members(whole: Any) -> Iterable[Any]:  # noqa: ANN401  a list or a dict of JSON values
    return whole if type(whole) is list else chain(whole, whole.values())
