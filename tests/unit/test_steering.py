"""Runs that nobody drives are revived, reset and cancelled by their records, and go on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import RunLockedError, StoreError, UsageError
from orchestrator.runner import RunRequest, init_run, rerun_task, retry_run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from orchestrator.steering import cancel_attempt, cancel_run, end_orphans, pause_run, reset_task, revive_run
from orchestrator.store.audit import history_fault
from orchestrator.store.database import Database, open_database, reading
from orchestrator.store.leases import take
from orchestrator.store.queries import read_attempts, read_run, read_tasks
from tests.unit.workshop import PowerCut, Ran, Workshop, python, recipe, shell

OK = 'echo \'{"status": "ok"}\''
TWO = recipe(python("a", keys="args: {v.a_v1: 1}"), python("b", keys="args: {v.b_v1: 2}"))
FAILING = recipe(shell("a", "test -f ok && " + OK), shell("b", OK))
ASKING = recipe("{name: q, type: human, instructions: 'Is it so?'}", shell("b", OK))


def init(workshop: Workshop, text: str) -> Path:
    """Open a run of a recipe and give its directory."""
    request = RunRequest(recipe=str(workshop.write("r.yaml", text)), workspaces_dir=workshop.folder / "workspaces")
    return init_run(request)


def states(run_root: Path) -> list[str]:
    """Give the states of a run and of its tasks, after its records were found to hold."""
    with reading(run_root) as database:
        assert history_fault(database) == ""
        return [read_run(database).status.value, *(row.status.value for row in read_tasks(database))]


def reason(run_root: Path) -> str:
    """Give why the run is in its state."""
    with reading(run_root) as database:
        return read_run(database).status_reason


def values(run_root: Path) -> object:
    """Give the values that the run has left for people."""
    return json.loads((run_root / "context.json").read_text())


def attempts(run_root: Path, task: str) -> list[str]:
    """Give the states of the attempts at a task."""
    with reading(run_root) as database:
        return [row.status.value for row in read_attempts(database, task)]


def asked(workshop: Workshop) -> Ran:
    """Run a recipe until it waits for an answer."""
    return workshop.run(ASKING, inline=False, once=True)


def test_a_run_that_is_opened_is_the_one_that_runs(workshop: Workshop) -> None:
    """Nothing of it was driven; the recipe's command goes on with it."""
    run_root = init(workshop, TWO)
    before = states(run_root)

    ran = workshop.run(TWO)

    assert before == ["PENDING", "PENDING", "PENDING"]
    assert (ran.root, states(run_root)) == (run_root, ["COMPLETED", "COMPLETED", "COMPLETED"])


def test_a_failed_run_is_revived(workshop: Workshop) -> None:
    """With the reason; what failed or was blocked is done, once somebody goes on."""
    ran = workshop.run(FAILING)

    revive_run(ran.root, reason="mended")

    assert (states(ran.root), reason(ran.root).partition(": ")[2]) == (["PENDING", "PENDING", "PENDING"], "mended")
    workshop.write("ok", "")
    workshop.resume(ran.root)
    assert states(ran.root) == ["COMPLETED", "COMPLETED", "COMPLETED"]
    assert attempts(ran.root, "a") == ["FAILED", "COMPLETED"]


def test_a_cancelled_run_is_revived(workshop: Workshop) -> None:
    """With what was cancelled in it."""
    run_root = init(workshop, TWO)
    assert cancel_run(run_root) is RunState.CANCELLED
    assert states(run_root) == ["CANCELLED", "CANCELLED", "CANCELLED"]

    revive_run(run_root)
    workshop.resume(run_root)

    assert states(run_root) == ["COMPLETED", "COMPLETED", "COMPLETED"]


def test_who_retries_a_cancelled_run_is_told_to_revive_it(workshop: Workshop) -> None:
    """Nothing failed in it."""
    run_root = init(workshop, TWO)
    cancel_run(run_root)

    with pytest.raises(UsageError, match=r"nothing failed in run .*, which is CANCELLED") as caught:
        retry_run(run_root)

    assert caught.value.hint == f"go on with: matterstack revive {run_root.name}"


def test_a_cancelled_fan_out_is_revived_as_it_was(workshop: Workshop) -> None:
    """What of it had succeeded is not done again."""
    text = recipe(shell("each", "test -f ok || test $MATTERSTACK_ITEM = 1 && " + OK, "foreach: [1, 2]"))
    ran = workshop.run(
        text.replace("$MATTERSTACK_ITEM", '\\"$N\\"').replace("foreach", "env: {N: '${{ item }}'}, foreach")
    )
    revive_run(ran.root)
    cancel_run(ran.root)
    assert states(ran.root) == ["CANCELLED", "CANCELLED", "COMPLETED", "CANCELLED"]

    revive_run(ran.root)
    workshop.write("ok", "")
    workshop.resume(ran.root)

    assert states(ran.root) == ["COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED"]
    assert (len(attempts(ran.root, "each[1]")), len(attempts(ran.root, "each[2]"))) == (1, 2)


def test_a_run_that_has_not_ended_is_not_revived(workshop: Workshop) -> None:
    """There is nothing to open."""
    with pytest.raises(UsageError, match="is PENDING and has not ended"):
        revive_run(init(workshop, TWO))


def test_a_cancelled_run_is_not_rerun_unrevived(workshop: Workshop) -> None:
    """Its other tasks would stay cancelled, and the run would look well."""
    run_root = init(workshop, TWO)
    cancel_run(run_root)

    with pytest.raises(UsageError, match="was cancelled") as caught:
        rerun_task(run_root, "a", DriveOptions(inline=True))

    assert caught.value.hint == f"first: matterstack revive {run_root.name}"


def test_a_task_is_reset(workshop: Workshop) -> None:
    """What it wrote counts no more, its attempts are kept, and it runs again."""
    ran = workshop.run(TWO)

    reset_task(ran.root, "a", action="reset", reason="drifted")

    assert (states(ran.root), values(ran.root)) == (["PENDING", "PENDING", "COMPLETED"], {"v.b_v1": 2})
    workshop.resume(ran.root)
    assert (states(ran.root), attempts(ran.root, "a")) == (["COMPLETED"] * 3, ["COMPLETED", "COMPLETED"])


def test_what_a_reset_task_blocked_is_pending_too(workshop: Workshop) -> None:
    """It may succeed now."""
    ran = workshop.run(FAILING)

    reset_task(ran.root, "a", action="reset")

    assert states(ran.root) == ["PENDING", "PENDING", "PENDING"]


def test_a_deleted_task_is_cancelled_with_what_it_wrote(workshop: Workshop) -> None:
    """Its history stays, and so does the state of the run."""
    ran = workshop.run(TWO)

    reset_task(ran.root, "b", action="delete", reason="wrong sample")

    assert (states(ran.root), values(ran.root)) == (["COMPLETED", "COMPLETED", "CANCELLED"], {"v.a_v1": 1})
    assert attempts(ran.root, "b") == ["COMPLETED"]
    assert [entry.rolled_back for entry in ran.history("v.b_v1")] == [True]


def test_a_deleted_fan_out_is_deleted_as_a_whole(workshop: Workshop) -> None:
    """One item of it cannot be, since its step has collected it."""
    ran = workshop.run(recipe(python("each", keys="foreach: [1, 2], args: {v.n_v1: 1}")))

    with pytest.raises(UsageError, match="is part of each"):
        reset_task(ran.root, "each[1]", action="delete")
    reset_task(ran.root, "each", action="delete")

    assert states(ran.root) == ["COMPLETED", "CANCELLED", "CANCELLED", "CANCELLED"]


def test_an_item_is_reset_with_its_step(workshop: Workshop) -> None:
    """The others keep what they did."""
    ran = workshop.run(recipe(python("each", keys="foreach: [1, 2], args: {v.n_v1: 1}")))

    reset_task(ran.root, "each[1]", action="reset")
    workshop.resume(ran.root)

    assert states(ran.root) == ["COMPLETED"] * 4
    assert (len(attempts(ran.root, "each[1]")), len(attempts(ran.root, "each[2]"))) == (2, 1)


def test_a_task_whose_attempt_is_open_is_not_reset(workshop: Workshop) -> None:
    """Somebody may be answering."""
    ran = asked(workshop)

    with pytest.raises(UsageError, match="at q is open"):
        reset_task(ran.root, "q", action="reset")


def test_a_task_that_there_is_not_is_not_reset(workshop: Workshop) -> None:
    """The error says which is probably meant."""
    ran = workshop.run(recipe(shell("relax", OK)))

    with pytest.raises(UsageError, match="has no task 'relaxx'") as caught:
        reset_task(ran.root, "relaxx", action="delete")

    assert caught.value.hint == "did you mean 'relax'?"


def test_a_question_is_rerun_by_force_alone(workshop: Workshop) -> None:
    """Then it ends, and another is asked."""
    ran = asked(workshop)
    options = DriveOptions(inline=True, once=True)

    with pytest.raises(UsageError, match="q waits for an answer"):
        rerun_task(ran.root, "q", options)
    outcome = rerun_task(ran.root, "q", options, force=True)

    assert (outcome.exit_status, attempts(ran.root, "q")) == (5, ["CANCELLED", "WAITING_EXTERNAL"])
    assert states(ran.root) == ["PENDING", "WAITING_EXTERNAL", "PENDING"]


def test_the_cancelled_attempt_of_a_question_fails_its_task(workshop: Workshop) -> None:
    """When the run goes on, and as its recipe has it no other attempt."""
    ran = asked(workshop)
    (question,) = ran.attempts("q")

    cancel_attempt(ran.root, question.attempt_id[:6], reason="nobody is there")
    before = attempts(ran.root, "q")
    workshop.resume(ran.root, inline=False)

    assert (before, attempts(ran.root, "q")) == (["WAITING_EXTERNAL"], ["CANCELLED"])
    assert states(ran.root) == ["FAILED", "FAILED", "BLOCKED"]
    assert ran.reasons[0].endswith(": nobody is there")


@pytest.mark.parametrize(("prefix", "said"), [("", "2 open attempts"), ("zz", "no open attempt")])
def test_an_attempt_must_be_meant(workshop: Workshop, prefix: str, said: str) -> None:
    """One, and no other."""
    ran = workshop.run(recipe("{name: q, type: human, instructions: '?', foreach: [a, b]}"), inline=False, once=True)

    with pytest.raises(UsageError, match=said):
        cancel_attempt(ran.root, prefix)


def test_questions_are_no_orphans(workshop: Workshop) -> None:
    """They wait as long as it takes."""
    ran = asked(workshop)

    assert end_orphans(ran.root, older_than_sec=0.0) == ()
    assert attempts(ran.root, "q") == ["WAITING_EXTERNAL"]


def test_orphans_of_a_dead_runner_are_lost(workshop: Workshop) -> None:
    """Their tasks and their run are pending."""
    with pytest.raises(SystemExit):
        workshop.run(recipe(shell("a", OK)), inline=False, reporter=PowerCut())
    (run_root,) = workshop.runs()

    found = end_orphans(run_root, older_than_sec=0.0)

    assert [row.task_id for row in found] == ["a"]
    assert (states(run_root), attempts(run_root, "a")) == (["PENDING", "PENDING"], ["LOST"])


@pytest.fixture(name="driven")
def _driven(workshop: Workshop) -> Iterator[Path]:
    """Hold the lease of a run, as a runner does, and give its directory."""
    run_root = init(workshop, TWO)
    database: Database = open_database(run_root / "state.sqlite")
    lease = take(database)
    yield run_root
    lease.release()
    database.close()


def test_a_run_that_is_driven_is_not_mended(driven: Path) -> None:
    """Its runner knows better."""
    with pytest.raises(RunLockedError):
        revive_run(driven)
    with pytest.raises(RunLockedError):
        reset_task(driven, "a", action="reset")
    assert end_orphans(driven, older_than_sec=0.0) == ()


def test_a_request_to_a_busy_runner_is_left_there(driven: Path) -> None:
    """Without waiting, the command ends at once, and the run stands where it did."""
    assert pause_run(driven, waits=False) is RunState.PENDING
    assert cancel_run(driven, waits=False) is RunState.PENDING


def test_records_that_were_changed_are_not_settled(workshop: Workshop) -> None:
    """Who cancels is told that somebody tampered with them."""
    run_root = init(workshop, TWO)
    database = open_database(run_root / "state.sqlite")
    with database.transaction():
        database.write("UPDATE tasks SET status = 'SKIPPED'")
    database.close()

    with pytest.raises(StoreError, match="was changed from outside"):
        cancel_run(run_root)
