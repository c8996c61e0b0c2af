"""Make what has ended in a run pending again, or give it up for good, with all that it wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from orchestrator.states import TaskState
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from orchestrator.store.queries import TaskRow
from orchestrator.store.runs import reset_tasks, roll_back


def run_again(database: Database, rows: Sequence[TaskRow], chosen: Collection[int], reason: str) -> None:
    """Make the tasks at some positions pending; those of which others came, and all above them, are under way again."""
    came_from = {row.parent for row in rows if row.parent is not None}
    reopened = {position for position in chosen if position in came_from}
    for position in chosen:
        reopened.update(_above(rows, position))
    reset_tasks(
        database,
        [rows[position].task_id for position in sorted(set(chosen) - reopened)],
        [rows[position].task_id for position in sorted(reopened)],
        reason,
    )


def give_up(database: Database, rows: Sequence[TaskRow], chosen: Collection[int], reason: str) -> None:
    """End the tasks at some positions as cancelled, whatever came of them; what they wrote counts no more."""
    names = [rows[position].task_id for position in sorted(chosen)]
    seq = append_event(database, "tasks.deleted", {"task_ids": names, "reason": reason})
    database.write_many(
        "UPDATE tasks SET status = ?, status_reason = ?, seq = ? WHERE task_id = ?",
        ((TaskState.CANCELLED, reason, seq, name) for name in names),
    )
    roll_back(database, names)


def with_all_below(rows: Sequence[TaskRow], position: int) -> set[int]:
    """Give the position of a task and those of all that it became."""
    found = {position}
    for row in rows:  # what a task became comes after it
        if row.parent in found:
            found.add(row.position)
    return found


def _above(rows: Sequence[TaskRow], position: int) -> Iterator[int]:
    parent = rows[position].parent
    while parent is not None:
        yield parent
        parent = rows[parent].parent
