"""Name the states of runs, tasks and attempts, and own the moves between them."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """What a run as a whole is doing."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class TaskState(StrEnum):
    """What one task of a run is doing."""

    PENDING = "PENDING"
    BLOCKED = "BLOCKED"
    RUNNING = "RUNNING"
    WAITING_EXTERNAL = "WAITING_EXTERNAL"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class AttemptState(StrEnum):
    """What one attempt at a task is doing."""

    CREATED = "CREATED"
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING_EXTERNAL = "WAITING_EXTERNAL"
    UNKNOWN = "UNKNOWN"
    MISSING = "MISSING"
    COLLECTING = "COLLECTING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    FAILED_INIT = "FAILED_INIT"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    LOST = "LOST"


ENDED_RUNS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})
ENDED_TASKS = frozenset(
    {TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED, TaskState.BLOCKED, TaskState.CANCELLED}
)
ENDED_ATTEMPTS = frozenset(
    {
        AttemptState.COMPLETED,
        AttemptState.FAILED,
        AttemptState.FAILED_INIT,
        AttemptState.CANCELLED,
        AttemptState.TIMEOUT,
        AttemptState.LOST,
    }
)
SATISFIED_TASKS = frozenset({TaskState.COMPLETED, TaskState.SKIPPED})

# By kind, since members of different kinds with one name are equal; for each state, those it may come from.
_FROM: dict[type[StrEnum], dict[StrEnum, frozenset[StrEnum]]] = {
    RunState: {
        RunState.PENDING: frozenset(RunState) - {RunState.PENDING},
        RunState.RUNNING: frozenset({RunState.PENDING, RunState.PAUSED}),
        RunState.PAUSED: frozenset({RunState.PENDING, RunState.RUNNING}),
        RunState.COMPLETED: frozenset({RunState.PENDING, RunState.RUNNING}),
        RunState.FAILED: frozenset({RunState.PENDING, RunState.RUNNING}),
        RunState.CANCELLED: frozenset({RunState.PENDING, RunState.RUNNING, RunState.PAUSED}),
    },
    TaskState: {
        TaskState.PENDING: frozenset(TaskState),
        TaskState.BLOCKED: frozenset({TaskState.PENDING}),
        TaskState.RUNNING: frozenset({TaskState.PENDING, TaskState.WAITING_EXTERNAL}),
        TaskState.WAITING_EXTERNAL: frozenset({TaskState.RUNNING}),
        TaskState.COMPLETED: frozenset({TaskState.RUNNING, TaskState.WAITING_EXTERNAL}),
        TaskState.FAILED: frozenset({TaskState.RUNNING, TaskState.WAITING_EXTERNAL, TaskState.COMPLETED}),
        TaskState.SKIPPED: frozenset({TaskState.PENDING}),
        TaskState.CANCELLED: frozenset(TaskState) - {TaskState.CANCELLED},
    },
    AttemptState: dict.fromkeys(
        frozenset(AttemptState) - {AttemptState.CREATED}, frozenset(AttemptState) - ENDED_ATTEMPTS
    ),
}


def may_become(state: StrEnum, target: StrEnum) -> bool:
    """Tell whether the move from ``state`` to ``target`` is legal; both are of one kind."""
    return type(state) is type(target) and state in _FROM[type(target)].get(target, frozenset())
