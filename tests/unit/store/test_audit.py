"""Rows that no event explains were changed from outside, and are found."""

from __future__ import annotations

import pytest

from orchestrator.context import Change
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.audit import history_fault
from orchestrator.store.database import Database
from orchestrator.store.runs import redefine_tasks, set_run_state, set_task_states


@pytest.fixture(name="recorded")
def _recorded(database: Database) -> Database:
    """Give a run with a completed, a failed and a blocked task, and one value."""
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        _attempt(database, "load", AttemptState.COMPLETED, TaskState.COMPLETED, Change("a.count_v1", "3", "load"))
        _attempt(database, "relax", AttemptState.FAILED, TaskState.FAILED, Change("a.lost_v1", "1", "relax"))
        set_task_states(database, ["report"], TaskState.BLOCKED, "needs relax")
    return database


def _attempt(database: Database, task_id: str, status: AttemptState, left: TaskState, *changes: Change) -> None:
    attempt_id, _ = open_attempt(database, task_id, {}, "local.default")
    close_attempt(database, task_id, attempt_id, AttemptResult(status=status, task_status=left, changes=changes))


def test_what_the_program_wrote_is_explained(recorded: Database) -> None:
    """Writes of the failed attempt count for nothing."""
    assert history_fault(recorded) == ""


def test_a_task_that_runs_again_is_explained(recorded: Database) -> None:
    """A changed definition makes it and what it blocked pending."""
    with recorded.transaction():
        redefine_tasks(recorded, {"relax": "1" * 64})

    assert history_fault(recorded) == ""


def test_a_deleted_value_is_explained(recorded: Database) -> None:
    """Its event holds no digest."""
    with recorded.transaction():
        redefine_tasks(recorded, {"load": "1" * 64})
        _attempt(recorded, "load", AttemptState.COMPLETED, TaskState.COMPLETED, Change("a.count_v1", None, "load"))

    assert history_fault(recorded) == ""


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        (
            "UPDATE runs SET status = 'COMPLETED'",
            "run 20260102_030405_0a1b2c3d is COMPLETED, and its events say RUNNING",
        ),
        (
            "UPDATE tasks SET status = 'COMPLETED' WHERE task_id = 'relax'",
            "task 'relax' is COMPLETED, and its events say FAILED",
        ),
        (
            "UPDATE tasks SET attempt_count = 0 WHERE task_id = 'load'",
            "task 'load' has 0 attempts, and its events say 1",
        ),
        ("UPDATE context_history SET value_json = '4'", "context key 'a.count_v1' differs from what its events say"),
        ("DELETE FROM context_history", "context key 'a.count_v1' is gone"),
        (
            "INSERT INTO context_history (key, value_json, who, seq) VALUES ('b.new_v1', '1', 'x', 1)",
            "context key 'b.new_v1' is there without an event",
        ),
    ],
)
def test_a_changed_row_is_found(recorded: Database, sql: str, fault: str) -> None:
    """The fault names what differs, and what its events say."""
    with recorded.transaction():
        recorded.write(sql)

    assert history_fault(recorded) == fault


def test_a_changed_attempt_is_found(recorded: Database) -> None:
    """Its status is part of the event that closed it."""
    with recorded.transaction():
        recorded.write("UPDATE task_attempts SET status = 'COMPLETED'")

    assert history_fault(recorded).endswith("differs from what its events say")
