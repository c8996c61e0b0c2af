"""An attempt is recorded before it happens and closed once, with all that came of it, as one fact."""

from __future__ import annotations

import pytest

from orchestrator.context import Change
from orchestrator.errors import InfrastructureError
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.attempts import AttemptResult, attempt_token, close_attempt, note_sighting, open_attempt
from orchestrator.store.contexts import read_context, read_history
from orchestrator.store.database import Database
from orchestrator.store.events import chain_fault, iterate_events
from orchestrator.store.queries import count_failures, read_attempts, read_open_attempts, read_tasks

WRITES = (Change("load.rows_v1", "3", "load"), Change("load.path_v1", '"x.csv"', "load"))
WELL = AttemptResult(
    status=AttemptState.COMPLETED,
    task_status=TaskState.COMPLETED,
    outcome="ok",
    envelope={"status": "ok"},
    exit_code=0,
    stdout="",
    stderr="log",
    changes=WRITES,
    duration_sec=0.5,
    cpu_sec=0.25,
    max_rss_mb=40.0,
    operator_data={"host": "here"},
)
BADLY = AttemptResult(
    status=AttemptState.FAILED, task_status=TaskState.FAILED, outcome="exit 1", reason="no rows", changes=WRITES
)


def attempt(database: Database, task_id: str, result: AttemptResult) -> str:
    """Open an attempt and close it with a result, as the runner does."""
    with database.transaction():
        attempt_id, _ = open_attempt(database, task_id, {"src": "x"}, "local.default")
    with database.transaction():
        close_attempt(database, task_id, attempt_id, result)
    return attempt_id


def states_of(database: Database) -> dict[str, str]:
    """Give the state of each task."""
    return {task.task_id: task.status.value for task in read_tasks(database)}


def test_an_attempt_has_the_same_id_every_time() -> None:
    """Run, task and index make it, so the outside world can be asked for it after a crash."""
    ids = [attempt_token("20260102_030405_0a1b2c3d", "load", index) for index in (1, 1, 2)]

    assert ids[:2] == ["8108f14ec04cde32", "8108f14ec04cde32"]
    assert ids[2] != ids[0]


def test_an_attempt_is_recorded_before_it_happens(database: Database) -> None:
    """With its params and operator; its task is running."""
    with database.transaction():
        attempt_id, _ = open_attempt(database, "load", {"src": "x"}, "hpc.default")

    (opened,) = read_open_attempts(database)
    assert (opened.attempt_id, opened.task_id, opened.attempt_index) == (attempt_id, "load", 1)
    assert (opened.params, opened.operator_key) == ({"src": "x"}, "hpc.default")
    assert opened.ended_at is None
    assert states_of(database)["load"] == "RUNNING"


def test_what_an_operator_says_more_of_an_attempt_is_kept(database: Database) -> None:
    """Also where its state is the same: another id or note is recorded once, and the task shows why it waits."""
    with database.transaction():
        attempt_id, _ = open_attempt(database, "load", {}, "hpc.default", work={})
    said = {"state": "QUEUED", "external_id": "7", "operator_data": {"note": "Priority"}}
    seen = [said, said, {**said, "external_id": "8", "operator_data": {"note": "JobHeldUser"}}]

    for sighting in seen:
        with database.transaction():
            note_sighting(database, "load", attempt_id, sighting)

    (kept,) = read_open_attempts(database)
    assert (kept.external_id, kept.operator_data["note"]) == ("8", "JobHeldUser")
    assert read_tasks(database)[0].status_reason == "JobHeldUser"
    assert [event.kind for event in iterate_events(database)][-2:] == ["attempt.submitted", "attempt.moved"]


def test_a_success_is_recorded_whole(database: Database) -> None:
    """Every field is kept, and nothing is left open."""
    attempt(database, "load", WELL)

    (closed,) = read_attempts(database, "load")
    assert (closed.status, closed.outcome, closed.exit_code) == (AttemptState.COMPLETED, "ok", 0)
    assert (closed.envelope, closed.stderr) == ({"status": "ok"}, "log")
    assert (closed.duration_sec, closed.cpu_sec, closed.max_rss_mb) == (0.5, 0.25, 40.0)
    assert closed.ended_at is not None
    assert read_open_attempts(database) == ()


def test_the_writes_of_a_success_are_the_context(database: Database) -> None:
    """Values, authors, and where they came from."""
    attempt_id = attempt(database, "load", WELL)

    assert read_context(database) == (WRITES[1], WRITES[0])
    assert [(entry.key, entry.task_id, entry.attempt_id, entry.rolled_back) for entry in read_history(database)] == [
        ("load.rows_v1", "load", attempt_id, False),
        ("load.path_v1", "load", attempt_id, False),
    ]


def test_the_writes_of_a_failure_are_history_only(database: Database) -> None:
    """They are kept for whoever looks into it, marked as rolled back."""
    attempt(database, "load", BADLY)

    assert read_context(database) == ()
    assert [(entry.key, entry.rolled_back) for entry in read_history(database)] == [
        ("load.rows_v1", True),
        ("load.path_v1", True),
    ]
    assert states_of(database)["load"] == "FAILED"


def test_a_deletion_takes_the_value_away(database: Database) -> None:
    """And stays in the history."""
    attempt(database, "load", WELL)
    deletion = AttemptResult(
        status=AttemptState.COMPLETED,
        task_status=TaskState.COMPLETED,
        changes=(Change("load.rows_v1", None, "relax"),),
    )

    attempt(database, "relax", deletion)

    assert [change.key for change in read_context(database)] == ["load.path_v1"]
    assert [(entry.value_json, entry.who) for entry in read_history(database, "load.rows_v1")] == [
        ("3", "load"),
        (None, "relax"),
    ]


def test_every_attempt_is_kept(database: Database) -> None:
    """A retry is another row."""
    again = AttemptResult(status=AttemptState.FAILED, task_status=TaskState.PENDING, reason="first")
    attempt(database, "load", again)
    attempt(database, "load", WELL)

    assert [(row.attempt_index, row.status, row.status_reason) for row in read_attempts(database, "load")] == [
        (1, AttemptState.FAILED, "first"),
        (2, AttemptState.COMPLETED, ""),
    ]
    assert read_tasks(database)[0].attempt_count == 2
    assert count_failures(database) == {0: 1}


def test_an_error_while_closing_leaves_the_attempt_open(database: Database) -> None:
    """State, envelope, writes and event are one fact: none of it is there."""
    with database.transaction():
        attempt_id, _ = open_attempt(database, "load", {}, "local.default")
    events = len(list(iterate_events(database)))

    def fail() -> None:
        with database.transaction():
            close_attempt(database, "load", attempt_id, WELL)
            raise EOFError

    with pytest.raises(EOFError):
        fail()

    assert [row.attempt_id for row in read_open_attempts(database)] == [attempt_id]
    assert read_history(database) == ()
    assert len(list(iterate_events(database))) == events
    assert chain_fault(database) == ""


def test_an_error_while_opening_leaves_nothing(database: Database) -> None:
    """The task is as it was."""

    def fail() -> None:
        with database.transaction():
            open_attempt(database, "load", {}, "local.default")
            raise EOFError

    with pytest.raises(EOFError):
        fail()

    assert read_open_attempts(database) == ()
    assert states_of(database)["load"] == "PENDING"


def test_the_chain_vouches_for_the_values(database: Database) -> None:
    """The closing event holds the digest of each value."""
    attempt(database, "load", WELL)

    *_, closing = iterate_events(database)
    assert closing.kind == "attempt.closed"
    assert '"load.rows_v1":"4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"' in closing.payload_json


def test_an_attempt_is_closed_once(database: Database) -> None:
    """The second end is refused."""
    attempt_id = attempt(database, "load", WELL)

    with (
        pytest.raises(InfrastructureError, match="is COMPLETED and cannot become FAILED again"),
        database.transaction(),
    ):
        close_attempt(database, "load", attempt_id, BADLY)


def test_a_task_has_one_attempt_at_a_time(database: Database) -> None:
    """While it runs there is no other."""
    with database.transaction():
        open_attempt(database, "load", {}, "local.default")

    with (
        pytest.raises(InfrastructureError, match="task load is RUNNING and cannot become RUNNING"),
        database.transaction(),
    ):
        open_attempt(database, "load", {}, "local.default")


def test_an_unknown_task_or_attempt_is_refused(database: Database) -> None:
    """Nothing is recorded about what is not there."""
    with pytest.raises(InfrastructureError, match="the run has no task 'x'"), database.transaction():
        open_attempt(database, "x", {}, "local.default")
    with pytest.raises(InfrastructureError, match="task 'load' has no attempt 'x'"), database.transaction():
        close_attempt(database, "load", "x", WELL)
