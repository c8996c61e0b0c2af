"""What the commands that read a run say of one that stopped, failed or cannot be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from orchestrator.store.database import FILE_NAME, open_database
from orchestrator.store.leases import take
from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop, python, recipe, shell

Call = Callable[..., Answer]

STOPPING = recipe(python("a"), python("b", "Interrupt"))


def test_status_of_a_run_that_stopped_says_how_to_go_on(call: Call, workshop: Workshop) -> None:
    """With a command to type."""
    stopped = workshop.run(STOPPING)

    answer = call("status")

    assert f"PENDING (interrupted), runner stopped; go on with: matterstack resume {stopped.root.name}" in answer.stderr
    assert [row[:3] for row in answer.rows[1:]] == [["a", "COMPLETED", "1"], ["b", "PENDING", "1"]]


def test_status_of_a_run_that_is_driven_says_nothing_of_that(call: Call, workshop: Workshop) -> None:
    """It goes on as it is."""
    stopped = workshop.run(STOPPING)
    database = open_database(stopped.root / FILE_NAME)
    lease = take(database)

    answers = call("status"), call("status", "--json")

    lease.release()
    database.close()
    assert "runner stopped" not in answers[0].stderr
    assert answers[1].json["driven"] is True


def test_status_of_a_failed_run_says_why(call: Call, workshop: Workshop) -> None:
    """For the run and for each task."""
    workshop.run(recipe(python("a", "Fail"), python("b")))

    answer = call("status")

    assert "FAILED (a: the exit code is 1, not 0: no luck)" in answer.stderr
    assert [row[4] for row in answer.rows[1:]] == ["the exit code is 1, not 0: no luck", "needs a"]


def test_a_reason_does_not_speak_to_the_terminal(call: Call, workshop: Workshop) -> None:
    """It may hold what a step wrote."""
    told = """printf %s '{"status": "error", "reason": "\\u009b2J\\u202e"}'"""
    workshop.run(recipe(shell("a", told)))

    answer = call("status")

    assert "'error': \\x9b2J\\u202e)" in answer.stderr
    assert answer.rows[1][4] == "the envelope's status is 'error': \\x9b2J\\u202e"


def test_runs_lists_one_that_cannot_be_read(call: Call, workshop: Workshop) -> None:
    """With the reason in place of its state."""
    workshop.run(recipe(python("a")))
    damaged = workshop.run(recipe(python("a")))
    (damaged.root / FILE_NAME).write_bytes(b"")

    head, first, second = call("runs").rows

    assert head == ["run_id", "status", "recipe", "workspace", "tasks", "created_at", "ended_at"]
    assert first[:3] == [damaged.root.name, f"unreadable: the state file is empty: {damaged.root / FILE_NAME}", ""]
    assert second[1:5] == ["COMPLETED", "r.yaml", "r", "1/1"]


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("2", 2), ("0", 3)])
def test_runs_lists_so_many(call: Call, workshop: Workshop, limit: str, count: int) -> None:
    """None means all."""
    for _ in range(3):
        workshop.run(recipe(python("a")))

    assert len(call("runs", "--limit", limit, "--json").json) == count


def test_runs_lists_no_negative_number(call: Call) -> None:
    """That is a mistake of the caller."""
    answer = call("runs", "--limit", "-1")

    assert (answer.status, answer.stdout) == (2, "")
    assert "-1 is not in the range x>=0" in answer.stderr


def test_runs_of_an_empty_place_has_its_head(call: Call) -> None:
    """That there are none is no fault."""
    answer = call("runs")

    assert (answer.status, len(answer.rows)) == (0, 1)


def test_history_marks_what_was_rolled_back(call: Call, workshop: Workshop) -> None:
    """All writes are there, in order."""
    workshop.run(recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "Fail")))

    assert [row[1:] for row in call("ctx", "history", "@last").rows[1:]] == [
        ["a.x_v1", "write", "a", "", "1"],
        ["lost.keys_v1", "b", "b", "rolled back", '["a.x_v1"]'],
    ]


def test_history_may_be_that_of_one_key(call: Call, workshop: Workshop) -> None:
    """As JSON with its values."""
    workshop.run(recipe(python("a", keys="args: {a.x_v1: [1], a.y_v1: 2}")))

    (entry,) = call("ctx", "history", "@last", "a.x_v1", "--json").json

    assert (entry["key"], entry["value"], entry["deleted"], entry["rolled_back"]) == ("a.x_v1", [1], False, False)


def test_attempts_of_a_task_that_had_none_is_an_empty_table(call: Call, workshop: Workshop) -> None:
    """Neither is its log anything."""
    workshop.run(recipe(python("a", keys="when: 1 > 2")))

    assert len(call("attempts", "@last", "a").rows) == 1
    assert call("attempts", "@last", "a", "--stderr").stdout == ""
    assert call("attempts", "@last", "a", "--json").json == []


def test_status_of_a_fan_out_shows_what_needs_a_look(call: Call, workshop: Workshop) -> None:
    """The step says how its items stand; all of them show when they are asked for."""
    keys = "foreach: [1, 2, 3], allow_failure: true, args: {n.x_v1: '${{ 1 / (item - 2) }}'}"
    workshop.run(recipe(python("each", keys=keys)), fail_fast=False)

    first = call("status").rows[1]
    assert (first[0], first[4]) == ("each", "1 of 3 items failed or were not started")
    assert [row[0] for row in call("status").rows[1:]] == ["each", "each[2]"]
    assert [row[0] for row in call("status", "--all").rows[1:]] == ["each", "each[1]", "each[2]", "each[3]"]
    assert len(call("status", "--json").json["tasks"]) == 4
    workshop.run(recipe(python("each", keys="foreach: [1, 2]")), fresh=True)
    assert call("status").rows[1][4] == "items: 2 completed"


@pytest.mark.parametrize(("steer", "state", "verb"), [("pause", "PAUSED", "resume"), ("cancel", "CANCELLED", "revive")])
def test_a_run_that_was_steered_says_how_to_go_on(
    call: Call, workshop: Workshop, steer: str, state: str, verb: str
) -> None:
    """With who steered it and why, in all that tells of it."""
    run = workshop.run(STOPPING).root.name
    call(steer, run, "--reason", "too hot")

    status, explained, listed = call("status", run), call("explain", run), call("runs")

    assert f"{state} (" in status.stderr
    assert f": too hot); go on with: matterstack {verb} {run}" in status.stderr
    assert explained.stdout.splitlines()[0].endswith(": too hot")
    assert explained.stdout.splitlines()[-1].endswith(f"matterstack {verb} {run}")
    assert listed.rows[1][:2] == [run, state]


def test_what_was_asked_and_has_not_come_about_is_explained(call: Call, workshop: Workshop) -> None:
    """While the runner lets end what runs."""
    stopped = workshop.run(STOPPING)
    database = open_database(stopped.root / FILE_NAME)
    lease = take(database)
    call("pause", "@last", "--no-wait", "--reason", "lunch")

    explained = call("explain", "@last")

    lease.release()
    database.close()
    assert explained.stdout.splitlines()[1].endswith(" has asked: pause (lunch)")


def test_failures_that_are_allowed_are_told_apart(call: Call, workshop: Workshop) -> None:
    """Nobody has to mend them: not those of items, nor of the steps of a recipe that may fail."""
    workshop.write("part.yaml", recipe(shell("inner", "exit 4", "stdout: free")))
    ran = workshop.run(
        recipe(
            shell("each", "exit 3", "foreach: [1, 2, 3, 4], allow_failure: true"),
            "{name: used, type: recipe, uses: ./part.yaml, allow_failure: true}",
            f"{{name: planned, type: workflow, tasks: [{shell('one', 'exit 6', 'allow_failure: true')}]}}",
            shell("bad", "exit 5"),
        )
    )

    explained = call("explain", ran.root.name).stdout.splitlines()

    assert explained[1:3] == [
        "  bad failed: the exit code is 5, not 0",
        "  7 tasks failed, as allow_failure allows: used, each[1], each[2], each[3] and 3 more",
    ]


@pytest.mark.parametrize("step", ["type: human, instructions: so?", "type: experiment"])
def test_what_waits_in_a_directory_that_was_removed_is_told_of(call: Call, workshop: Workshop, step: str) -> None:
    """With the command that puts it back."""
    root = workshop.run(recipe(f"{{name: q, {step}}}"), once=True).root
    shutil.rmtree(root / "tasks")

    status, explained = call("status"), call("explain", "@last")
    workshop.resume(root, once=True)

    note = f"its directory was removed; put it back with: matterstack resume {root.name}"
    assert status.rows[1][4] == note
    assert f"  q waits, but {note}\n" in explained.stdout
    assert call("status").rows[1][4] == ""


def test_what_a_measurement_waits_for_is_explained(call: Call, workshop: Workshop) -> None:
    """By files, where nobody has wired anything."""
    workshop.run(recipe("{name: m, type: experiment}"), once=True)

    line = (
        "  m waits for experiment.default, attempt 1: it waits for experiment_result.json in the attempt's directory\n"
    )
    assert line in call("explain", "@last").stdout


def test_why_a_measurement_goes_on_waiting_is_explained(call: Call, workshop: Workshop) -> None:
    """Also while nobody drives the run; nothing of it stays when the instrument has answered."""
    ran = workshop.run(recipe("{name: m, type: experiment}"), once=True)
    result = ran.root / str(ran.attempts("m")[0].relative_path) / "experiment_result.json"
    result.write_text('{"status": "COMPLETED", "files": ["../x"]}')
    workshop.resume(ran.root, once=True)

    told, status = call("explain", "@last").stdout, call("status").rows
    result.write_text('{"status": "COMPLETED"}')
    ended = workshop.resume(ran.root, once=True)

    reason = "experiment_result.json: file '../x' has no name that is allowed"
    assert f"  m waits for experiment.default, attempt 1: {reason}\n" in told
    assert status[1][4] == reason
    assert (ended.states, "note" in ended.attempts("m")[0].operator_data) == (["COMPLETED"], False)


def test_why_an_answer_does_not_count_is_explained(call: Call, workshop: Workshop) -> None:
    """Whoever wrote it finds out, also while nobody drives the run."""
    ran = workshop.run(recipe("{name: q, type: human, instructions: so?}"), once=True)
    (ran.root / str(ran.attempts("q")[0].relative_path) / "response.json").write_text('{"status": "YES"}')

    reason = "response.json: expected the status COMPLETED or FAILED, got 'YES'"
    assert f"  q is not answered yet: {reason}\n" in call("explain", "@last").stdout


def test_no_answer_is_taken_to_a_question_whose_directory_was_removed(call: Call, workshop: Workshop) -> None:
    """Nobody would find it."""
    root = workshop.run(recipe("{name: q, type: human, instructions: so?}"), once=True).root
    shutil.rmtree(root / "tasks")

    answer = call("respond", "@last", "q", "--approve")

    assert answer.status == 2
    assert "the directory of q was removed" in answer.stderr
    assert f"put it back with: matterstack resume {root.name}" in answer.stderr
