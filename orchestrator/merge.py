"""Merge what tasks write, in plan order, so that a result never depends on which of them ended first.

A task sees what the tasks before it in the graph wrote and nothing of those beside it. What several of these wrote to
one key counts in list order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.context import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two tasks, by position, that wrote one key side by side; the second is the one that is refused."""

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
    """The writes of the tasks of one list, by position; positions stand in an order in which the tasks could run.

    ``after`` gives for each position those it waits for, all of them smaller. ``first`` holds the values that were
    there before any task wrote. Sets of tasks are bit masks, which keeps lists of ten thousand steps cheap.
    """

    def __init__(
        self, after: Sequence[Sequence[int]], first: Mapping[str, str], *, last_write_wins: bool = False
    ) -> None:
        self._before = list(_masks(after))
        self._first = first
        self._last_write_wins = last_write_wins
        self._ended: dict[int, tuple[Change, ...]] = {}
        self._waiting = 0
        self._shared = 0
        self._writes: dict[str, dict[int, Change]] = {}

    def precedes(self, first: int, second: int) -> bool:
        """Tell whether a task ends before another begins, whatever the timing."""
        return bool(self._before[second] >> first & 1)

    def ended(self, position: int, changes: Iterable[Change]) -> None:
        """Take the writes of a task that succeeded; nobody sees them yet."""
        self._ended[position] = tuple(changes)
        self._waiting |= 1 << position

    def refused(self, position: int) -> None:
        """Drop the writes of a task whose success was taken back."""
        self._ended.pop(position, None)
        self._waiting &= ~(1 << position)

    def before(self, position: int) -> Merged:
        """Share what the tasks before this one wrote, and say what else is shared already and hidden from it."""
        merged = self._share(self._waiting & self._before[position])
        beside = self._shared & ~self._before[position]
        return Merged(shared=merged.shared, hidden=tuple(self._hidden(beside)), conflict=merged.conflict)

    def at_end(self) -> Merged:
        """Share all that is left."""
        return self._share(self._waiting)

    def _share(self, tasks: int) -> Merged:
        shared: list[Change] = []
        for position in _positions(tasks):
            if conflict := self._conflict(position):
                return Merged(shared=tuple(shared), conflict=conflict)
            self._waiting &= ~(1 << position)
            self._shared |= 1 << position
            for key, change in {change.key: change for change in self._ended.pop(position)}.items():
                writes = self._writes.setdefault(key, {})
                if position > max(writes, default=-1):
                    shared.append(change)
                writes[position] = change
        return Merged(shared=tuple(shared))

    def _conflict(self, position: int) -> Conflict | None:
        if self._last_write_wins:
            return None
        for change in self._ended[position]:
            for other in self._writes.get(change.key, ()):
                if not (self.precedes(other, position) or self.precedes(position, other)):
                    return Conflict(key=change.key, first=other, second=position)
        return None

    def _hidden(self, beside: int) -> Iterator[Change]:
        """Give, for every key whose shared value came from a task beside, the value it has without that."""
        if not beside:
            return
        for key, writes in self._writes.items():
            if not beside >> max(writes) & 1:
                continue
            seen = max((position for position in writes if not beside >> position & 1), default=None)
            yield writes[seen] if seen is not None else Change(key, self._first.get(key), "")


def _masks(after: Sequence[Sequence[int]]) -> Iterator[int]:
    masks: list[int] = []
    for positions in after:
        mask = 0
        for position in positions:
            mask |= masks[position] | 1 << position
        masks.append(mask)
        yield mask


def _positions(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
