"""Keep the tasks whose turn has come in order, and what they hold while they run."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from orchestrator.nodes import Node


class _Seats:
    """How many tasks each operator may have at once, and under an empty key all of them; no lock has such a name."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = {f"\0{key}": limit for key, limit in limits.items()}
        self._of: dict[int, tuple[str, ...]] = {}
        self._taken = Counter[str]()
        self._closed: frozenset[str] = frozenset()

    def wanted_by(self, node: Node) -> tuple[str, ...]:
        """Name what a task needs one seat of; nothing for one that no operator carries out."""
        if not node.operator_key or node.is_group:
            return ()
        names = (f"\0{node.operator_key}", "\0")
        return tuple(name for name in names if name in self._limits or name in self._closed)

    def is_taken(self, name: str) -> bool:
        """Tell whether all seats of a name are taken, or none is given away."""
        return name in self._closed or (name in self._limits and self._taken[name] >= self._limits[name])

    def close(self, keys: Iterable[str]) -> frozenset[str]:
        """Give away no seats of some operators, and those of all others again; return the names of the latter."""
        before, self._closed = self._closed, frozenset(f"\0{key}" for key in keys)
        return before - self._closed

    def is_closed(self, name: str) -> bool:
        """Tell whether seats of a name are not given away."""
        return name in self._closed

    def take(self, position: int, node: Node) -> None:
        """Give a task its seats."""
        if names := self.wanted_by(node):
            self._of[position] = names
            self._taken.update(names)

    def leave(self, position: int) -> tuple[str, ...]:
        """Take its seats back from a task; return their names."""
        names = self._of.pop(position, ())
        self._taken.subtract(names)
        return names


class Turns:
    """The tasks that wait for nothing but their turn: those to go at once in list order, others at a time.

    A task waits on where a lock of it is held or all seats that it needs are taken; the first that waits for one gets
    it next. Times are in the board's clock.
    """

    def __init__(self, nodes: Sequence[Node], limits: Mapping[str, int]) -> None:
        self._nodes = nodes
        self._ready: list[int] = []
        self._delayed: list[tuple[float, int]] = []
        self._holders: dict[str, int] = {}
        self._waiting: dict[str, list[int]] = {}
        self._seats = _Seats(limits)

    def add(self, position: int) -> None:
        """Let a task go in its turn."""
        heapq.heappush(self._ready, position)

    def add_later(self, position: int, at: float) -> None:
        """Let a task go in its turn from a time on."""
        heapq.heappush(self._delayed, (at, position))

    def close(self, keys: Iterable[str]) -> None:
        """Let no task go that some operators would carry out; all that waited for others may try again."""
        for name in self._seats.close(keys):
            for position in self._waiting.pop(name, ()):
                self.add(position)

    @property
    def is_held_up(self) -> bool:
        """Tell whether a task waits for what nobody holds: an operator that takes on nothing."""
        return any(self._seats.is_closed(name) for name, waiting in self._waiting.items() if waiting)

    def come_due(self, now: float) -> None:
        """Let those go whose time has come."""
        while self._delayed and self._delayed[0][0] <= now:
            self.add(heapq.heappop(self._delayed)[1])

    def next_at(self, counts: Callable[[int], bool]) -> float | None:
        """Give the time of the next of those that have one and that count."""
        return min((at for at, position in self._delayed if counts(position)), default=None)

    def pick(self, slots: int, may_start: Callable[[int], bool]) -> Iterator[int]:
        """Take what goes now, as far as there are slots and what it needs is free; forget what may not start."""
        while self._ready and (slots > 0 or self._takes_no_slot(self._ready[0])):
            position = heapq.heappop(self._ready)
            if not may_start(position):
                continue
            node = self._nodes[position]
            names = (*node.locks, *self._seats.wanted_by(node))
            taken = next((name for name in names if self._is_taken(name)), None)
            if taken is not None:
                heapq.heappush(self._waiting.setdefault(taken, []), position)
                self._wake(name for name in names if not self._is_taken(name))
                continue
            self.hold(position)
            slots -= not self._takes_no_slot(position)
            yield position

    def hold(self, position: int) -> None:
        """Give a task what it needs to hold."""
        node = self._nodes[position]
        self._holders.update(dict.fromkeys(node.locks, position))
        self._seats.take(position, node)

    def let_go(self, position: int) -> None:
        """Take back what a task holds; the first that waits for it may try again."""
        held = [lock for lock in self._nodes[position].locks if self._holders.get(lock) == position]
        for lock in held:
            del self._holders[lock]
        self._wake((*held, *self._seats.leave(position)))

    def replace(self, positions: list[int]) -> None:
        """Forget what goes at once, and let these go instead."""
        self._ready = list(positions)
        heapq.heapify(self._ready)

    def keep(self, is_kept: Callable[[int], bool]) -> None:
        """Forget all that wait but for those that are kept."""
        self.replace([position for position in self._ready if is_kept(position)])
        self._delayed = [(at, position) for at, position in self._delayed if is_kept(position)]
        heapq.heapify(self._delayed)
        waiting = {name: list(filter(is_kept, positions)) for name, positions in self._waiting.items()}
        self._waiting = {name: positions for name, positions in waiting.items() if positions}
        for positions in self._waiting.values():
            heapq.heapify(positions)

    def _takes_no_slot(self, position: int) -> bool:
        node = self._nodes[position]
        return node.is_group or bool(node.operator_key)

    def _is_taken(self, name: str) -> bool:
        return name in self._holders or self._seats.is_taken(name)

    def _wake(self, names: Iterable[str]) -> None:
        """Let the first that waits for each free lock, or for a seat, try again."""
        for name in names:
            if waiting := self._waiting.get(name):
                self.add(heapq.heappop(waiting))
