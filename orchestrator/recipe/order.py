"""Say which steps wait for which, and in what order the steps of a seed-dialect recipe stand."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar


class Ordered(Protocol):
    """What a step says about its place among the others."""

    @property
    def name(self) -> str:
        """Give its name."""

    @property
    def idx(self) -> int | None:
        """Give its number."""

    @property
    def depends_on(self) -> tuple[str, ...] | None:
        """Give the names of the steps it waits for, or None when the list decides."""

    @property
    def parallel(self) -> bool:
        """Tell whether it runs beside its neighbours that say the same."""


StepT = TypeVar("StepT", bound=Ordered)


def dependencies(steps: Iterable[Ordered]) -> dict[str, tuple[str, ...]]:
    """Give, for each step of a list by its name, the names of the steps it waits for.

    Those are the ones it lists itself, else the step before it. Adjacent parallel steps share the one before them, and
    the step after them waits for them all.
    """
    waits: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    side_by_side: list[str] = []
    for step in steps:
        if side_by_side and not step.parallel:
            before, side_by_side = tuple(side_by_side), []
        waits[step.name] = before if step.depends_on is None else step.depends_on
        if step.parallel:
            side_by_side.append(step.name)
        else:
            before = (step.name,)
    return waits


def in_order(steps: Sequence[StepT], waits: Mapping[str, Sequence[str]]) -> list[StepT]:
    """Give steps in an order in which they could run, as near to the list's as that allows; there are no circles."""
    places = {step.name: place for place, step in enumerate(steps)}
    missing = {name: len(set(names)) for name, names in waits.items()}
    dependents: dict[str, list[str]] = {}
    for name, names in waits.items():
        for before in set(names):
            dependents.setdefault(before, []).append(name)
    ready = [places[name] for name, count in missing.items() if not count]
    heapq.heapify(ready)
    ordered: list[StepT] = []
    while ready:
        step = steps[heapq.heappop(ready)]
        ordered.append(step)
        for name in dependents.get(step.name, ()):
            missing[name] -= 1
            if not missing[name]:
                heapq.heappush(ready, places[name])
    return ordered


def by_idx(steps: Sequence[StepT]) -> list[StepT]:
    """Sort steps by ``idx``; one without a number stays behind the step before it."""
    numbers: list[float] = []
    for step in steps:
        numbers.append(step.idx if step.idx is not None else (numbers[-1] if numbers else float("-inf")))
    order = sorted(range(len(steps)), key=numbers.__getitem__)
    return [steps[position] for position in order]
