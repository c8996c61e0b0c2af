"""Read as much of a run as a screen shows: counts of all tasks, and the rows of a few."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from orchestrator.states import AttemptState, TaskState
from orchestrator.store.database import Database

LOUD = (TaskState.WAITING_EXTERNAL, TaskState.RUNNING, TaskState.FAILED)
NO_LIMIT = -1

_LOUD_WORDS = ", ".join(f"'{state}'" for state in LOUD)
_LAST_ATTEMPT = "task_attempts ON task_position = position AND attempt_index = attempt_count"


class Order(Enum):
    """How tasks are ordered; the values are what SQL orders them by."""

    PLANNED = "position"
    LOUD_FIRST = (
        "CASE tasks.status WHEN 'WAITING_EXTERNAL' THEN 0 WHEN 'RUNNING' THEN 1 WHEN 'FAILED' THEN 2"
        " WHEN 'PENDING' THEN 3 ELSE 4 END, position"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """One task, and of its latest attempt what a line has room for; the times are those of that attempt."""

    position: int
    task_id: str
    status: TaskState
    status_reason: str
    attempt_count: int
    operator_key: str | None = None
    relative_path: str | None = None
    started_at: str | None = None
    duration_sec: float | None = None


def read_positions(database: Database, *, order: Order, with_items: bool) -> tuple[int, ...]:
    """Give the positions of the tasks in an order; without all items of fan-outs, those are left out that are quiet."""
    shown = "TRUE" if with_items else f"item_json IS NULL OR tasks.status IN ({_LOUD_WORDS})"
    rows = database.all(f"SELECT position FROM tasks WHERE {shown} ORDER BY {order.value}")  # noqa: S608  fixed words
    return tuple(position for (position,) in rows)


def read_lines(database: Database, positions: Sequence[int]) -> tuple[TaskLine, ...]:
    """Give the tasks at some positions, in that order."""
    rows = database.all(
        "SELECT position, task_id, tasks.status, tasks.status_reason, attempt_count, operator_key,"  # noqa: S608  ours
        f" relative_path, created_at, duration_sec FROM json_each(?) AS wanted JOIN tasks ON position = wanted.value"
        f" LEFT JOIN {_LAST_ATTEMPT} ORDER BY wanted.key",
        (json.dumps(positions),),
    )
    return tuple(
        TaskLine(
            position=row[0],
            task_id=row[1],
            status=TaskState(row[2]),
            status_reason=row[3],
            attempt_count=row[4],
            operator_key=row[5],
            relative_path=row[6],
            started_at=row[7],
            duration_sec=row[8],
        )
        for row in rows
    )


def read_loud_lines(
    database: Database, *, states: Collection[TaskState] = LOUD, order: Order = Order.PLANNED, limit: int = NO_LIMIT
) -> tuple[TaskLine, ...]:
    """Give the first tasks in some states; those that run only because tasks of theirs do are left out."""
    rows = database.all(
        "SELECT position FROM tasks WHERE status IN (SELECT value FROM json_each(?))"  # noqa: S608  a fixed order
        f" AND (attempt_count > 0 OR status != 'RUNNING') ORDER BY {order.value} LIMIT ?",
        (json.dumps(sorted(states)), limit),
    )
    return read_lines(database, [position for (position,) in rows])


def count_reasons(database: Database, *, limit: int = NO_LIMIT) -> list[tuple[str, int]]:
    """Count the tasks that did not run by the reason, in the order of the first of each; what is pending has none."""
    rows = database.all(
        "SELECT CASE status WHEN 'PENDING' THEN '' ELSE status_reason END AS reason, count(*) FROM tasks"
        " WHERE status IN ('PENDING', 'BLOCKED', 'CANCELLED') GROUP BY reason ORDER BY min(position) LIMIT ?",
        (limit,),
    )
    return [(reason, count) for reason, count in rows]


def count_by_operator(database: Database) -> dict[str, dict[AttemptState, int]]:
    """Count the open attempts by operator key and state; the runner's own count as those of ``local.default``."""
    counts: dict[str, dict[AttemptState, int]] = {}
    rows = database.all(
        "SELECT coalesce(operator_key, 'local.default'), task_attempts.status, count(*)"  # noqa: S608  fixed words
        f" FROM tasks JOIN {_LAST_ATTEMPT} WHERE tasks.status IN ('RUNNING', 'WAITING_EXTERNAL')"
        " AND ended_at IS NULL GROUP BY 1, 2"
    )
    for key, status, count in rows:
        counts.setdefault(key, {})[AttemptState(status)] = count
    return counts
