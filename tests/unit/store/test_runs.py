"""The run row, its inputs and its tasks."""

from __future__ import annotations

import pytest

from orchestrator.errors import InfrastructureError, StoreError
from orchestrator.states import RunState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.events import iterate_events
from orchestrator.store.queries import count_tasks, read_inputs, read_run, read_tasks
from orchestrator.store.runs import put_inputs, redefine_tasks, set_run_state, set_task_states


def kinds_of(database: Database) -> list[str]:
    """List the kinds of all events."""
    return [event.kind for event in iterate_events(database)]


def test_a_new_run_is_pending(database: Database) -> None:
    """With its id, workspace and recipe."""
    run = read_run(database)

    assert (run.run_id, run.workspace_slug, run.recipe_name) == ("20260102_030405_0a1b2c3d", "screening", "recipe.yaml")
    assert (run.status, run.status_reason, run.ended_at) == (RunState.PENDING, "", None)
    assert kinds_of(database) == ["run.opened"]


def test_tasks_stand_in_list_order(database: Database) -> None:
    """Nothing has happened to them."""
    assert [(task.position, task.task_id, task.status, task.attempt_count) for task in read_tasks(database)] == [
        (0, "load", TaskState.PENDING, 0),
        (1, "relax", TaskState.PENDING, 0),
        (2, "report", TaskState.PENDING, 0),
    ]


def test_inputs_come_back_as_they_were(database: Database) -> None:
    """A later value replaces an earlier one."""
    with database.transaction():
        put_inputs(database, {"argv": ["run"], "recipe_sha256": "0"})
        put_inputs(database, {"recipe_sha256": "Grüße"})

    assert read_inputs(database) == {"argv": ["run"], "recipe_sha256": "Grüße"}


def test_a_run_moves_with_an_event(database: Database) -> None:
    """Each move is one event; the same state again is none."""
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        set_run_state(database, RunState.RUNNING)
        set_run_state(database, RunState.FAILED, "load: no rows")

    run = read_run(database)
    assert (run.status, run.status_reason) == (RunState.FAILED, "load: no rows")
    assert run.ended_at is not None
    assert kinds_of(database) == ["run.opened", "run.running", "run.failed"]


def test_a_run_that_is_opened_again_has_no_end(database: Database) -> None:
    """Going back to pending takes the end away."""
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        set_run_state(database, RunState.FAILED)
        set_run_state(database, RunState.PENDING)

    assert read_run(database).ended_at is None


def test_an_illegal_move_is_refused(database: Database) -> None:
    """The message names both states, and nothing is written."""
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        set_run_state(database, RunState.COMPLETED)

    with pytest.raises(InfrastructureError, match="is COMPLETED and cannot become RUNNING"), database.transaction():
        set_run_state(database, RunState.RUNNING)

    assert read_run(database).status is RunState.COMPLETED


def test_tasks_that_no_attempt_explains_share_one_event(database: Database) -> None:
    """Such as those blocked by one failure."""
    with database.transaction():
        set_task_states(database, ["relax", "report"], TaskState.BLOCKED, "needs load")
        set_task_states(database, [], TaskState.SKIPPED, "nothing")

    assert [task.status_reason for task in read_tasks(database)] == ["", "needs load", "needs load"]
    assert count_tasks(database) == {TaskState.BLOCKED: 2, TaskState.PENDING: 1}
    assert kinds_of(database) == ["run.opened", "tasks.blocked"]


def test_a_changed_definition_makes_a_task_pending(database: Database) -> None:
    """It will run again, and the history says why."""
    with database.transaction():
        set_task_states(database, ["load"], TaskState.SKIPPED, "")
        redefine_tasks(database, {"load": "1" * 64})
        redefine_tasks(database, {})

    task = read_tasks(database)[0]
    assert (task.definition_sha256, task.status, task.status_reason) == (
        "1" * 64,
        TaskState.PENDING,
        "definition changed",
    )
    assert kinds_of(database) == ["run.opened", "tasks.skipped", "tasks.redefined"]


def test_a_file_without_a_run_says_so(database: Database) -> None:
    """An empty table is not an empty run."""
    with database.transaction():
        database.write("DELETE FROM runs")

    with pytest.raises(StoreError, match="the state file holds no run"):
        read_run(database)
