"""Runs are cancelled, paused and looped by commands, whoever drives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.acceptance.program import Project, finish, read_pipe

HOLDING = "echo here > ready-NAME; while [ ! -e go ]; do sleep 0.02; done"
RECIPE = """\
schema: matterstack/recipe/v1
workspace: NAME
steps:
  - { name: work, type: shell, stdout: free, run: "echo here > ready-NAME; while [ ! -e go ]; do sleep 0.02; done" }
  - { name: after, type: shell, stdout: free, run: "date" }
finally:
  - { name: last, type: shell, stdout: free, run: "echo last >> last-NAME.txt" }
"""
QUICK = "workspace: quick\nsteps: [{ name: only, type: shell, stdout: free, run: date }]\n"
ASKING = "workspace: asking\nsteps: [{ name: review, type: human, instructions: Is it so? }]\n"


def write(project: Project, name: str = "a") -> str:
    """Write a recipe whose first step says when it is at work, and then waits for a file; give its file's name."""
    project.write(f"{name}.yaml", RECIPE.replace("NAME", name))
    os.mkfifo(project.folder / f"ready-{name}")
    return f"{name}.yaml"


def started(project: Project, *words: str) -> subprocess.Popen[str]:
    """Start a run and wait until its first step is at work."""
    process = project.start("run", write(project), *words)
    read_pipe(project.folder / "ready-a")
    return process


def init(project: Project, recipe: str) -> str:
    """Open a run and give its id."""
    return project.call("init", recipe).stdout.split()[-1]


def states(project: Project, run: str = "@last") -> list[str]:
    """Give the states of a run and of its tasks."""
    status = project.call("status", run, "--json").answer
    return [status["status"], *(task["status"] for task in status["tasks"])]


def results(stdout: str) -> list[dict[str, Any]]:
    """Give the results of runs, a line each."""
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_run_that_is_driven_is_cancelled(project: Project) -> None:
    """What runs ends, what comes last is done, the rest is cancelled, and both commands say so."""
    runner = started(project)

    cancelled = project.call("cancel", "@last", "--reason", "too hot")

    ended, run_id = finish(runner), project.run_folders()[0].name
    assert (cancelled.status, cancelled.stdout) == (0, f"Run cancelled: {run_id}\n")
    assert ended.status == ended.answer["exit_code"] == 1
    assert ended.answer["reason"].startswith("cancelled by ")
    assert ended.answer["reason"].endswith(": too hot")
    assert states(project) == ["CANCELLED", "CANCELLED", "CANCELLED", "COMPLETED"]
    assert (project.folder / "last-a.txt").read_text() == "last\n"
    assert project.survivors() == []


def test_a_run_that_nobody_drives_is_cancelled(project: Project) -> None:
    """With what it does last where it had begun, and had not done it."""
    runner = started(project)
    runner.kill()
    finish(runner)

    cancelled = project.call("cancel", "@last")

    assert (cancelled.status, states(project)) == (0, ["CANCELLED", "CANCELLED", "CANCELLED", "COMPLETED"])
    assert (project.folder / "last-a.txt").exists()


def test_a_run_that_never_began_is_cancelled_with_nothing_done(project: Project) -> None:
    """There is nothing to clean up."""
    run = init(project, write(project))

    cancelled = project.call("cancel", run)

    assert (cancelled.status, set(states(project))) == (0, {"CANCELLED"})
    assert not (project.folder / "last-a.txt").exists()


def test_two_that_cancel_at_once_change_nothing_more(project: Project) -> None:
    """Both are told that it is cancelled, and what comes last is not killed by the second."""
    runner = started(project)
    first, second = (project.start("cancel", "@last") for _ in range(2))

    said = {(ended.status, ended.stdout.split(":")[0]) for ended in (finish(first), finish(second))}

    assert finish(runner).status == 1
    assert said <= {(0, "Run cancelled"), (2, "")}
    assert (0, "Run cancelled") in said
    assert (project.folder / "last-a.txt").read_text() == "last\n"


def test_a_run_that_has_ended_is_not_cancelled(project: Project) -> None:
    """The error says what it came to."""
    project.write("quick.yaml", QUICK)
    project.call("run", "quick.yaml")

    refused = project.call("cancel", "@last")

    assert (refused.status, "is COMPLETED already" in refused.stderr) == (2, True)
    assert states(project) == ["COMPLETED", "COMPLETED"]


def test_a_question_is_withdrawn_with_its_run(project: Project) -> None:
    """Nobody can answer it any more."""
    project.write("asking.yaml", ASKING)
    run = init(project, "asking.yaml")
    assert project.call("step", run).status == 5

    project.call("cancel", run)

    assert [row["status"] for row in project.call("attempts", run, "review").table] == ["CANCELLED"]
    refused = project.call("respond", run, "review", "--approve")
    assert (refused.status, "waits for no answer any more" in refused.stderr) == (2, True)


def test_a_recipe_that_is_gone_does_not_keep_a_run_from_its_end(project: Project) -> None:
    """The one that was kept with it says what comes last."""
    runner = started(project)
    runner.kill()
    finish(runner)
    (project.folder / "a.yaml").unlink()

    assert project.call("cancel", "@last").status == 0
    assert (project.folder / "last-a.txt").exists()


def test_what_comes_last_may_be_left_out(project: Project) -> None:
    """By force, where nobody drives the run."""
    runner = started(project)
    runner.kill()
    finish(runner)

    assert project.call("cancel", "@last", "--force").status == 0
    assert (states(project)[0], (project.folder / "last-a.txt").exists()) == ("CANCELLED", False)


def test_a_run_pauses_when_what_runs_has_ended(project: Project) -> None:
    """Its runner exits with 5, and only resume goes on."""
    runner = started(project)
    asked = project.call("pause", "@last", "--no-wait", "--reason", "lunch")
    project.write("go", "")

    ended = finish(runner)

    assert asked.stderr.endswith("pauses when what its runner runs has ended; what operators have goes on\n")
    assert (ended.status, ended.answer["reason"].partition(": ")[2]) == (5, "lunch")
    assert states(project) == ["PAUSED", "COMPLETED", "PENDING", "PENDING"]
    assert {word: project.call(word, "@last").status for word in ("step", "loop", "retry")} == {
        "step": 2,
        "loop": 2,
        "retry": 2,
    }
    assert project.call("resume", "@last").status == 0
    assert states(project) == ["COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED"]


def test_the_same_command_begins_another_run_beside_a_paused_one(project: Project) -> None:
    """And says that it does."""
    project.write("quick.yaml", QUICK)
    paused = init(project, "quick.yaml")
    project.call("pause", paused)

    ended = project.call("run", "quick.yaml")

    assert (ended.status, f"run {paused} is paused" in ended.stderr) == (0, True)
    assert states(project, paused)[0] == "PAUSED"


def test_a_pause_outlives_the_death_of_the_runner(project: Project) -> None:
    """Who goes on finds it, and resume takes it back."""
    runner = started(project)
    runner.send_signal(signal.SIGSTOP)
    project.call("pause", "@last", "--no-wait")
    runner.kill()
    finish(runner)
    project.write("go", "")

    assert project.call("step", "@last").status == 5
    assert states(project)[0] == "PAUSED"
    assert project.call("cancel", "@last").status == 0


def test_resume_takes_back_a_pause_that_nobody_saw(project: Project) -> None:
    """The run goes on to its end."""
    runner = started(project)
    runner.send_signal(signal.SIGSTOP)
    project.call("pause", "@last", "--no-wait")
    runner.kill()
    finish(runner)
    project.write("go", "")

    resumed = project.start("resume", "@last")
    read_pipe(project.folder / "ready-a")

    assert finish(resumed).status == 0


def test_an_attempt_is_cancelled_and_its_task_fails(project: Project) -> None:
    """As the recipe has it no retry; what comes last is done."""
    runner = started(project)
    (attempt,) = project.call("attempts", "@last", "work").table

    cancelled = project.call("cancel-attempt", "@last", attempt["attempt_id"][:8], "--reason", "stuck")

    assert (cancelled.status, cancelled.stdout) == (0, f"Attempt cancelled: {attempt['attempt_id']}\n")
    assert (finish(runner).status, states(project)) == (1, ["FAILED", "FAILED", "BLOCKED", "COMPLETED"])
    assert [row["status"] for row in project.call("attempts", "@last", "work").table] == ["CANCELLED"]


def test_a_cancelled_attempt_uses_up_a_retry(project: Project) -> None:
    """Unlike one that ended with its runner, and also when another runner goes on."""
    name = write(project)
    text = (project.folder / name).read_text().replace("name: work,", "name: work, retry: { max: 1 },")
    project.write(name, text)
    runner = project.start("run", name)
    for is_first in (True, False):
        read_pipe(project.folder / "ready-a")
        attempt = project.call("attempts", "@last", "work").table[-1]["attempt_id"]
        project.call("cancel-attempt", "@last", attempt)
        if is_first:
            read_pipe(project.folder / "ready-a")
            runner.send_signal(signal.SIGINT)
            finish(runner)
            runner = project.start("resume")

    assert finish(runner).status == 1
    found = [row["status"] for row in project.call("attempts", "@last", "work").table]
    assert found == ["CANCELLED", "CANCELLED", "CANCELLED"]


def test_a_loop_drives_all_active_runs_side_by_side(project: Project) -> None:
    """A slow one delays no other; each has a line of standard output, and lines with a mark of its own."""
    slow, other = init(project, write(project)), init(project, write(project, "b"))
    project.write("quick.yaml", QUICK)
    quick = init(project, "quick.yaml")
    paused = init(project, "quick.yaml")
    project.call("pause", paused)
    loop = project.start("loop")
    for name in ("a", "b"):
        read_pipe(project.folder / f"ready-{name}")
    project.write("go", "")

    ended = finish(loop)

    assert ended.status == 0
    assert {result["run_id"]: result["status"] for result in results(ended.stdout)} == dict.fromkeys(
        (slow, other, quick), "ok"
    )
    assert {line[:11] for line in ended.stderr.splitlines()} == {f"{run[-8:]} | " for run in (slow, other, quick)}
    assert states(project, paused)[0] == "PAUSED"


def test_a_loop_leaves_runs_alone_that_others_drive(project: Project) -> None:
    """With a line that says so."""
    runner = started(project)

    ended = project.call("loop")

    assert (ended.status, ended.stdout) == (0, "")
    assert "left alone: another process drives it" in ended.stderr
    project.write("go", "")
    assert finish(runner).status == 0


def test_one_signal_stops_all_runs_of_a_loop(project: Project) -> None:
    """Each does what it does last, and can go on."""
    runs = [init(project, write(project, name)) for name in ("a", "b")]
    loop = project.start("loop")
    for name in ("a", "b"):
        read_pipe(project.folder / f"ready-{name}")

    loop.send_signal(signal.SIGINT)

    assert finish(loop).status == 130
    assert {tuple(states(project, run)) for run in runs} == {("PENDING", "PENDING", "PENDING", "COMPLETED")}
    assert project.survivors() == []


def test_the_status_of_a_loop_is_the_highest_of_its_runs(project: Project) -> None:
    """One that failed is not hidden by one that did not."""
    project.write("quick.yaml", QUICK)
    project.write("bad.yaml", QUICK.replace("date", '"false"'))
    for recipe in ("bad.yaml", "quick.yaml"):
        init(project, recipe)

    assert project.call("loop").status == 1


def test_orphans_are_ended_when_they_are_old(project: Project) -> None:
    """They are shown before, and the run goes on from there."""
    runner = started(project)
    runner.kill()
    finish(runner)

    young = project.call("cleanup-orphans", "--run-id", "@last", "--timeout", "1h")
    shown = project.call("cleanup-orphans", "--run-id", "@last", "--timeout", "0.01s", "--dry-run")
    before = states(project)
    ended = project.call("cleanup-orphans", "--timeout", "0.01s")

    assert (young.table, before) == ([], ["RUNNING", "RUNNING", "PENDING", "PENDING"])
    assert [row["task_id"] for row in shown.table] == [row["task_id"] for row in ended.table] == ["work"]
    assert states(project) == ["PENDING"] * 4
    assert [row["status"] for row in project.call("attempts", "@last", "work").table] == ["LOST"]


@pytest.mark.parametrize(("words", "reason"), [("1x", "is no duration"), ("-1", "is no duration")])
def test_a_timeout_is_a_duration(project: Project, words: str, reason: str) -> None:
    """The error says how one is written."""
    refused = project.call("cleanup-orphans", f"--timeout={words}")

    assert (refused.status, reason in refused.stderr) == (2, True)


def test_a_run_that_does_what_it_does_last_comes_to_its_own_end(project: Project) -> None:
    """A request to cancel it came too late: what comes last is not stopped, and the command says what became of it."""
    text = RECIPE.replace("NAME", "a").replace(HOLDING.replace("NAME", "a"), "date")
    text = text.replace("echo last >>", f"{HOLDING}; echo last >>")
    project.write("a.yaml", text.replace("NAME", "a"))
    os.mkfifo(project.folder / "ready-a")
    runner = project.start("run", "a.yaml")
    read_pipe(project.folder / "ready-a")
    assert project.call("cancel", "@last", "--no-wait").status == 0
    cancelling = project.start("cancel", "@last")
    for _ in range(100):
        if project.call("explain", "@last").stdout.count("has asked: cancel") == 2:
            break
    project.write("go", "")

    cancelled = finish(cancelling)

    assert (cancelled.status, "was COMPLETED before it could be cancelled" in cancelled.stderr) == (2, True)
    assert finish(runner).status == 0
    assert (project.folder / "last-a.txt").read_text() == "last\n"


def test_a_used_recipe_does_what_it_does_last_when_its_run_is_cancelled(project: Project) -> None:
    """Innermost first, as when it is interrupted."""
    write(project, "inner")
    project.write("outer.yaml", "steps: [{ name: sub, type: recipe, uses: ./inner.yaml }]\n")
    runner = project.start("run", "outer.yaml")
    read_pipe(project.folder / "ready-inner")

    assert project.call("cancel", "@last").status == 0

    assert finish(runner).status == 1
    assert (project.folder / "last-inner.txt").exists()
    assert states(project) == ["CANCELLED", "CANCELLED", "CANCELLED", "CANCELLED", "COMPLETED"]


def test_a_revived_run_goes_on_within_a_used_recipe(project: Project) -> None:
    """What had ended in it is not done again."""
    write(project, "inner")
    project.write("outer.yaml", "steps: [{ name: sub, type: recipe, uses: ./inner.yaml }]\n")
    runner = project.start("run", "outer.yaml")
    read_pipe(project.folder / "ready-inner")
    project.call("cancel", "@last")
    finish(runner)
    project.call("revive", "@last")
    project.write("go", "")
    resumed = project.start("loop", "@last")
    read_pipe(project.folder / "ready-inner")

    assert finish(resumed).status == 0
    assert set(states(project)) == {"COMPLETED"}


def test_a_second_signal_kills_a_run_that_is_being_cancelled(project: Project) -> None:
    """It is cancelled all the same, and what comes last is left."""
    text = RECIPE.replace("NAME", "a").replace("echo last >>", "echo here > ready-a; sleep 60; echo last >>")
    project.write("a.yaml", text)
    os.mkfifo(project.folder / "ready-a")
    runner = project.start("run", "a.yaml")
    read_pipe(project.folder / "ready-a")
    project.call("cancel", "@last", "--no-wait")
    read_pipe(project.folder / "ready-a")
    for number in (signal.SIGINT, signal.SIGTERM):  # two of one kind may arrive as one
        runner.send_signal(number)

    ended = finish(runner)

    assert ended.status == 1
    assert states(project) == ["CANCELLED"] * 4
    assert project.survivors() == []


def test_a_pause_waits_for_no_retry(project: Project) -> None:
    """One that is due in an hour is not under way."""
    retry = "retry: { max: 1, delay_sec: 3600 }"
    project.write("a.yaml", f"steps: [{{ name: a, type: shell, run: 'false', {retry} }}]\n")
    runner = project.start("run", "a.yaml")
    for _ in range(100):
        if "FAILED" in project.call("attempts", "@last", "a").stdout:
            break

    assert project.call("pause", "@last").status == 0

    assert (finish(runner).status, states(project)) == (5, ["PAUSED", "PENDING"])
