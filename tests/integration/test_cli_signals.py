"""What a signal to the runner does: nothing more is started, what runs is asked to end, and the run can go on."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.workers.pool import GRACE_SEC
from tests.acceptance.program import Ended, Project, finish, read_pipe

STEP = """\
import os, signal, sys, time
from pathlib import Path

from orchestrator import BaseScriptlet

def say(name):
    with open(name, "w") as pipe:
        pipe.write("here")

def refuse(number, frame):
    say("asked")

class Step(BaseScriptlet):
    def work(self, ctx, params):
        if Path("quick").exists():
            return {}
        if params["stubborn"]:
            signal.signal(signal.SIGTERM, refuse)
        say("ready")
        while True:
            time.sleep(0.1)
"""

RECIPE = """\
steps:
  - { name: before, type: shell, run: "echo '{\\"status\\": \\"ok\\"}'" }
  - { name: wait, type: python, module: ./step.py, function: Step, args: { stubborn: STUBBORN } }
  - { name: after, type: shell, run: "echo '{\\"status\\": \\"ok\\"}'" }
"""


def start(project: Project, *, stubborn: bool = False, words: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a run and wait until its second step is at work; a stubborn one says when it is asked to end, and stays."""
    project.write("step.py", STEP)
    project.write("recipe.yaml", RECIPE.replace("STUBBORN", str(stubborn).lower()))
    for name in ("ready", "asked"):
        os.mkfifo(project.folder / name)
    process = project.start("run", "recipe.yaml", *words)
    read_pipe(project.folder / "ready")
    return process


def states(project: Project) -> list[str]:
    """Give the states of the run and of its tasks."""
    status = project.call("status", "--json").answer
    return [status["status"], *(task["status"] for task in status["tasks"])]


def attempt_states(project: Project) -> list[str]:
    """Give the states of the attempts at the step that waits."""
    return [row["status"] for row in project.call("attempts", "@last", "wait").table]


def interrupted(project: Project, number: signal.Signals, *words: str) -> Ended:
    """Start a run, send it one signal while a step is at work, and wait for its end."""
    process = start(project, words=words)
    process.send_signal(number)
    return finish(process)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_interrupts_the_run(project: Project, number: signal.Signals, status: int) -> None:
    """The exit status tells the signal, the attempt is cancelled, the rest is left for later, and nothing lives on."""
    ended = interrupted(project, number)

    assert (ended.status, ended.answer["exit_code"]) == (status, status)
    assert ended.answer["reason"] == f"interrupted by {number.name}"
    assert states(project) == ["PENDING", "COMPLETED", "PENDING", "PENDING"]
    assert attempt_states(project) == ["CANCELLED"]
    assert project.survivors() == []


def test_an_interrupted_run_says_how_to_go_on(project: Project) -> None:
    """The last line is a command to type."""
    ended = interrupted(project, signal.SIGINT)

    assert ended.stderr.endswith(f"  = go on with:  matterstack resume {project.run_folders()[0].name}\n")


@pytest.mark.parametrize("words", [("run", "recipe.yaml"), ("resume",)], ids=" ".join)
def test_an_interrupted_run_goes_on(project: Project, words: tuple[str, ...]) -> None:
    """The step that was cancelled is attempted again, those before it are not."""
    interrupted(project, signal.SIGINT)
    project.write("quick", "")

    ended = project.call(*words)

    assert ended.status == 0
    assert states(project) == ["COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED"]
    assert attempt_states(project) == ["CANCELLED", "COMPLETED"]
    assert len(project.call("attempts", "@last", "before").table) == 1


def test_an_inline_step_is_interrupted_too(project: Project) -> None:
    """Steps that run in the runner's own process end like the others."""
    ended = interrupted(project, signal.SIGINT, "--isolation", "inline")

    assert ended.status == 130
    assert attempt_states(project) == ["CANCELLED"]


def test_a_second_signal_kills(project: Project) -> None:
    """A step that does not listen is killed at the second signal, without the grace it has after the first."""
    process = start(project, stubborn=True)
    began = datetime.now(UTC)
    process.send_signal(signal.SIGINT)
    read_pipe(project.folder / "asked")

    process.send_signal(signal.SIGINT)
    ended = finish(process)

    assert ended.status == 130
    (attempt,) = project.call("attempts", "@last", "wait", "--json").answer
    assert attempt["status"] == "CANCELLED"
    assert datetime.fromisoformat(attempt["ended_at"]) - began < timedelta(seconds=GRACE_SEC)
    assert project.survivors() == []


def test_a_stubborn_step_has_a_grace(project: Project) -> None:
    """After one signal alone, a step that does not listen is killed some seconds later."""
    process = start(project, stubborn=True)

    process.send_signal(signal.SIGTERM)
    read_pipe(project.folder / "asked")
    ended = finish(process)

    assert ended.status == 143
    assert attempt_states(project) == ["CANCELLED"]
    assert project.survivors() == []


def test_a_cancelled_attempt_uses_up_no_retry(project: Project) -> None:
    """Being interrupted is nobody's failure: the step still has its one attempt after it."""
    interrupted(project, signal.SIGINT)
    second = project.start("run", "recipe.yaml")
    read_pipe(project.folder / "ready")
    second.send_signal(signal.SIGINT)
    finish(second)
    project.write("quick", "")

    assert project.call("run", "recipe.yaml").status == 0
    assert attempt_states(project) == ["CANCELLED", "CANCELLED", "COMPLETED"]


def test_a_paused_runner_keeps_its_run(project: Project) -> None:
    """A runner that sleeps is not taken for dead: a second one is refused, and the first comes to its end."""
    process = start(project)
    process.send_signal(signal.SIGSTOP)

    refused = project.call("resume")
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)

    assert refused.status == 6
    assert "error[MS503]" in refused.stderr
    assert finish(process).status == 130
