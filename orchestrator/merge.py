"""Merge what tasks write, in plan order, so that a result never depends on which of them ended first.

A task sees what the tasks before it in the graph wrote and nothing of those beside it. What several of these wrote to
one key counts in list order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.context import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two tasks that wrote one key side by side; the second is the one that is refused."""

    key: str
    first: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What becomes part of the shared context, what it hides from one task, and the first conflict."""

    shared: tuple[Change, ...] = ()
    hidden: tuple[Change, ...] = ()
    conflict: Conflict | None = None


class Merge:
    """The writes of tasks, each known by a number, in an order in which the tasks could run: that of `add`.

    ``first`` holds the values that were there before any task wrote. Sets of tasks are bit masks over that order, which
    keeps lists of ten thousand steps cheap.
    """

    def __init__(self, first: Mapping[str, str], *, last_write_wins: bool = False) -> None:
        self._first = first
        self._last_write_wins = last_write_wins
        self._tasks: list[int] = []
        self._places: dict[int, int] = {}
        self._before: list[int] = []
        self._ended: dict[int, tuple[Change, ...]] = {}
        self._waiting = 0
        self._shared = 0
        self._writes: dict[str, dict[int, Change]] = {}

    def add(self, task: int, after: Iterable[int] | None = None) -> None:
        """Add a task that waits for some of those before it, or for all of them."""
        place = self._places[task] = len(self._tasks)
        self._tasks.append(task)
        mask = (1 << place) - 1 if after is None else 0
        for other in after or ():
            at = self._places[other]
            mask |= self._before[at] | 1 << at
        self._before.append(mask)

    def knows(self, task: int) -> bool:
        """Tell whether a task was added."""
        return task in self._places

    def ended(self, task: int, changes: Iterable[Change]) -> None:
        """Take the writes of a task that succeeded; nobody sees them yet."""
        place = self._places[task]
        self._ended[place] = tuple(changes)
        self._waiting |= 1 << place

    def refused(self, task: int) -> None:
        """Drop the writes of a task whose success was taken back."""
        place = self._places[task]
        self._ended.pop(place, None)
        self._waiting &= ~(1 << place)

    def before(self, task: int) -> Merged:
        """Share what the tasks before this one wrote, and say what else is shared already and hidden from it."""
        before = self._before[self._places[task]]
        merged = self._share(self._waiting & before)
        hidden = tuple(self._hidden(self._shared & ~before))
        return Merged(shared=merged.shared, hidden=hidden, conflict=merged.conflict)

    def at_end(self) -> Merged:
        """Share all that is left."""
        return self._share(self._waiting)

    def _share(self, places: int) -> Merged:
        shared: list[Change] = []
        for place in _bits(places):
            if conflict := self._conflict(place):
                return Merged(shared=tuple(shared), conflict=conflict)
            self._waiting &= ~(1 << place)
            self._shared |= 1 << place
            for key, change in {change.key: change for change in self._ended.pop(place)}.items():
                writes = self._writes.setdefault(key, {})
                if place > max(writes, default=-1):
                    shared.append(change)
                writes[place] = change
        return Merged(shared=tuple(shared))

    def _conflict(self, place: int) -> Conflict | None:
        if self._last_write_wins:
            return None
        for change in self._ended[place]:
            for other in self._writes.get(change.key, ()):
                if not (self._precedes(other, place) or self._precedes(place, other)):
                    return Conflict(key=change.key, first=self._tasks[other], second=self._tasks[place])
        return None

    def _precedes(self, first: int, second: int) -> bool:
        return bool(self._before[second] >> first & 1)

    def _hidden(self, beside: int) -> Iterator[Change]:
        """Give, for every key whose shared value came from a task beside, the value it has without that."""
        if not beside:
            return
        for key, writes in self._writes.items():
            if not beside >> max(writes) & 1:
                continue
            seen = max((place for place in writes if not beside >> place & 1), default=None)
            yield writes[seen] if seen is not None else Change(key, self._first.get(key), "")


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
