"""Decide what is due in a run: a pure fold of what has happened, without files, processes or clocks.

The board knows the tasks' order and states. `due` says what to start and what to give up; the runner does it, commits
it, and tells the board. Every step costs the same however long the run is.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.nodes import Node
from orchestrator.states import ENDED_TASKS, SATISFIED_TASKS, RunState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done now, by position; ``wake_at`` is when the next retry is due, in the board's clock."""

    start: tuple[int, ...] = ()
    block: tuple[tuple[int, str], ...] = ()
    settled: RunState | None = None
    wake_at: float | None = None


class Board:
    """The present state of every task of a run, and which can go next.

    ``fail_fast`` starts nothing more after the first failure that counts.
    """

    def __init__(self, nodes: Sequence[Node], states: Sequence[TaskState], *, fail_fast: bool = True) -> None:
        self._nodes = nodes
        self._states = list(states)
        self._fail_fast = fail_fast
        self._dependents: list[list[int]] = [[] for _ in nodes]
        self._missing = [0] * len(nodes)
        self._ready: list[int] = []
        self._delayed: list[tuple[float, int]] = []
        self._blocked: list[tuple[int, str]] = []
        self._running: set[int] = set()
        self._failures: dict[int, int] = {}
        self._failed: list[int] = []
        self._open = sum(state not in ENDED_TASKS for state in states)
        self._fold()

    @property
    def states(self) -> tuple[TaskState, ...]:
        """Give the states of all tasks, in list order."""
        return tuple(self._states)

    @property
    def failed(self) -> tuple[int, ...]:
        """Give the positions of the tasks whose failure counts, oldest first."""
        return tuple(self._failed)

    def due(self, now: float, *, slots: int) -> Due:
        """Say what is due at ``now``, starting at most ``slots`` tasks, in list order."""
        while self._delayed and self._delayed[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._delayed)[1])
        if self._failed and self._fail_fast and not self._running:
            self._give_up_rest()
        block, self._blocked = tuple(self._blocked), []
        stopping = bool(self._failed) and self._fail_fast
        start = () if stopping else tuple(heapq.heappop(self._ready) for _ in range(min(slots, len(self._ready))))
        wake_at = self._delayed[0][0] if self._delayed and not stopping else None
        return Due(start=start, block=block, settled=self._settled(start), wake_at=wake_at)

    def started(self, position: int) -> None:
        """Note that an attempt at a task was opened."""
        self._states[position] = TaskState.RUNNING
        self._running.add(position)

    def ended(self, position: int, state: TaskState) -> None:
        """Note that a task ended, and release or block those that wait for it."""
        self._running.discard(position)
        if self._states[position] not in ENDED_TASKS:
            self._open -= 1
        self._states[position] = state
        if state in SATISFIED_TASKS or (state is TaskState.FAILED and self._nodes[position].allow_failure):
            self._release(position)
        elif state in ENDED_TASKS:
            self._fail(position, state)

    def retry_at(self, position: int, cause: str, now: float) -> float | None:
        """Count a failure and say when to attempt the task again, or None when it has failed for good."""
        self._failures[position] = self._failures.get(position, 0) + 1
        delay = self._nodes[position].retry.delay_after(self._failures[position], cause)
        return None if delay is None else now + delay

    def again(self, position: int, at: float) -> None:
        """Note that a task goes back to pending and is due at a time."""
        self._running.discard(position)
        self._states[position] = TaskState.PENDING
        heapq.heappush(self._delayed, (at, position))

    def recall_failures(self, failures: Mapping[int, int]) -> None:
        """Take over how often tasks had failed when an earlier runner drove the run."""
        self._failures.update(failures)

    def _fold(self) -> None:
        for position, node in enumerate(self._nodes):
            for before in node.after:
                self._dependents[before].append(position)
            self._missing[position] = sum(not self._satisfies(before) for before in node.after)
        for position, state in enumerate(self._states):
            if state is TaskState.PENDING and not self._missing[position]:
                self._ready.append(position)
            elif state in ENDED_TASKS and not self._satisfies(position):
                self._fail(position, state)

    def _satisfies(self, position: int) -> bool:
        state = self._states[position]
        return state in SATISFIED_TASKS or (state is TaskState.FAILED and self._nodes[position].allow_failure)

    def _release(self, position: int) -> None:
        for dependent in self._dependents[position]:
            self._missing[dependent] -= 1
            if not self._missing[dependent] and self._states[dependent] is TaskState.PENDING:
                heapq.heappush(self._ready, dependent)

    def _fail(self, position: int, state: TaskState) -> None:
        if state is TaskState.FAILED:
            self._failed.append(position)
        waiting = [position]
        while waiting:
            for dependent in self._dependents[waiting.pop()]:
                if self._states[dependent] is TaskState.PENDING:
                    self._give_up(dependent, f"needs {self._nodes[position].task_id}")
                    waiting.append(dependent)

    def _give_up(self, position: int, reason: str) -> None:
        self._states[position] = TaskState.BLOCKED
        self._open -= 1
        self._blocked.append((position, reason))

    def _give_up_rest(self) -> None:
        reason = f"not started: {self._nodes[self._failed[0]].task_id} failed"
        for position, state in enumerate(self._states):
            if state is TaskState.PENDING:
                self._give_up(position, reason)
        self._ready, self._delayed = [], []

    def _settled(self, start: Sequence[int]) -> RunState | None:
        if self._open or start or self._running:
            return None
        incomplete = self._failed or TaskState.BLOCKED in self._states
        return RunState.FAILED if incomplete else RunState.COMPLETED
