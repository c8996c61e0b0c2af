"""What becomes of the other tasks when a changed step is accepted on resume."""

from __future__ import annotations

from pathlib import Path

from orchestrator.engine import Board
from orchestrator.nodes import Node
from orchestrator.states import RunState, TaskState
from orchestrator.store.database import Database, create_database
from orchestrator.store.queries import read_tasks
from orchestrator.store.runs import NewTask, insert_run, insert_tasks, redefine_tasks


def database_with(folder: Path, *states: TaskState) -> Database:
    """Make a state file with tasks a, b, c… in the given states."""
    database = create_database(folder / "state.sqlite")
    with database.transaction():
        insert_run(database, "20261120_120000_00000000", "w", "r.yaml")
        tasks = (
            NewTask(position=at, task_id="abc"[at], step="abc"[at], definition_sha256="old", status=state)
            for at, state in enumerate(states)
        )
        insert_tasks(database, tasks, seq=1)
    return database


def test_what_a_changed_step_blocked_is_pending_again(tmp_path: Path) -> None:
    """Or the run would end well although a step never ran."""
    database = database_with(tmp_path, TaskState.FAILED, TaskState.BLOCKED, TaskState.COMPLETED)

    with database.transaction():
        redefine_tasks(database, {"a": "new"})

    assert [task.status for task in read_tasks(database)] == ["PENDING", "PENDING", "COMPLETED"]


def test_a_changed_step_that_was_left_out_stays_left_out(tmp_path: Path) -> None:
    """Only its definition is noted."""
    database = database_with(tmp_path, TaskState.SKIPPED, TaskState.COMPLETED)

    with database.transaction():
        redefine_tasks(database, {"a": "new"}, left_out=["a"])

    assert [(task.status, task.definition_sha256) for task in read_tasks(database)] == [
        ("SKIPPED", "new"),
        ("COMPLETED", "old"),
    ]


def test_a_run_with_a_blocked_task_has_failed() -> None:
    """A step that never ran is never called a success."""
    nodes = [Node(task_id="a"), Node(task_id="b", after=(0,))]

    due = Board(nodes, [TaskState.COMPLETED, TaskState.BLOCKED]).due(0.0, slots=1)

    assert due.settled is RunState.FAILED
