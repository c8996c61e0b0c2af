"""Know which tasks belong to which group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from orchestrator.nodes import Node, Phase


class Tree:
    """The groups of a run and the tasks that they were expanded into, by position."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._below: dict[int, list[range]] = {}

    def begin(self, group: int) -> None:
        """Note that a group is expanded, as yet into nothing."""
        self._below[group] = []

    def add(self, group: int, children: range) -> None:
        """Note tasks of a group, which come next to one another."""
        ranges = self._below.setdefault(group, [])
        if ranges and ranges[-1].stop == children.start:
            ranges[-1] = range(ranges[-1].start, children.stop)
        else:
            ranges.append(children)

    def children(self, group: int) -> Iterator[int]:
        """Give the tasks of a group."""
        return chain.from_iterable(self._below.get(group, ()))

    def of_parts(self, group: int, before: Phase | None) -> Iterator[int]:
        """Give the tasks of a group that stand in the parts of its recipe before one, or in all."""
        return (child for child in self.children(group) if before is None or self._nodes[child].part < before)

    def above(self, position: int) -> Iterator[int]:
        """Give the groups that a task belongs to, innermost first."""
        parent = self._nodes[position].parent
        while parent is not None:
            yield parent
            parent = self._nodes[parent].parent

    def depth(self, position: int) -> int:
        """Count the groups that a task belongs to."""
        return sum(1 for _ in self.above(position))

    def is_allowed_above(self, position: int) -> bool:
        """Tell whether the failure of a step is one of a used recipe that may fail: it counts there alone."""
        for group in self.above(position):
            if self._nodes[group].allow_failure and not self._nodes[position].allow_failure:
                return True
            position = group
        return False
