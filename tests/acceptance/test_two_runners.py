"""One runner drives a run, whoever else would: at the same instant, after sleep or death, on another machine."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.kills import prepare
from tests.acceptance.program import Ended, Project, finish, read_pipe
from tests.acceptance.remains import Remains, loss_faults, run_faults, see

RECIPE = """\
workspace: lab
steps:
  - { name: work, type: shell, stdout: free, run: "echo here >> effects.txt" }
"""
HELD = """\
workspace: lab
steps:
  - name: work
    type: shell
    stdout: free
    run: "test -e go && exit; echo here > ready; while [ ! -e go ]; do sleep 0.02; done"
"""
# What the one that comes second says: somebody drives it, somebody has ended it meanwhile, or did before.
SECOND = {(6, "MS503"), (2, "MS002")}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

rounds = pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.race)], ids=["some", "many"])


@pytest.fixture(name="lab")
def _lab(project: Project) -> Project:
    """Make a project with a recipe whose step has an effect outside the run."""
    project.write("recipe.yaml", RECIPE)
    return project


def init(project: Project) -> str:
    """Open a run and give its id."""
    return project.call("init", "recipe.yaml").stdout.split()[-1]


def held(project: Project) -> tuple[subprocess.Popen[str], Path]:
    """Start a run whose step waits for a file; give its runner and its directory."""
    project.write("recipe.yaml", HELD)
    os.mkfifo(project.folder / "ready")
    runner = project.start("run", "recipe.yaml")
    read_pipe(project.folder / "ready")
    return runner, project.run_folders()[0]


def code(ended: Ended) -> str:
    """Give the code of the error that a command ended with."""
    return ended.stderr.partition("error[")[2].partition("]")[0]


def lease(run_root: Path, *, host: str, pid: int, age_sec: float) -> None:
    """Leave a lease as a runner would whose last heartbeat is so many seconds old."""
    beat = f"{datetime.now(UTC) - timedelta(seconds=age_sec):%Y-%m-%dT%H:%M:%S.%fZ}"
    with closing(sqlite3.connect(run_root / "state.sqlite")) as connection:
        connection.execute("REPLACE INTO leases VALUES ('runner', 7, ?, ?, ?)", (host, pid, beat))
        connection.commit()


def lost(before: Remains, after: Remains) -> list[str]:
    """Give what was lost or done again; what comes last is done at each end, so also at that of an interruption."""
    return [fault for fault in loss_faults(before, after) if not fault.startswith("off ")]


@rounds
def test_F25_of_two_runners_that_start_at_once_one_drives(lab: Project, count: int) -> None:
    """The other is told so and changes nothing: each run has one attempt, and one effect."""
    ends: Counter[tuple[int, str]] = Counter()
    for _ in range(count):
        run = init(lab)
        runners = [lab.start("loop", run) for _ in range(2)]
        ends.update((ended.status, code(ended)) for ended in map(finish, runners))

    assert ends.pop((0, "")) == count
    assert ends.keys() <= SECOND
    assert (lab.folder / "effects.txt").read_text() == "here\n" * count
    assert len(lab.call("attempts", "@last", "work").table) == 1


def test_F10_a_runner_that_slept_through_a_take_over_writes_nothing(lab: Project) -> None:
    """As on a machine where the lock means nothing: the second goes on, the first wakes up and is fenced off."""
    first, run_root = held(lab)
    first.send_signal(signal.SIGSTOP)
    (run_root / "run.lock").unlink()
    lab.write("go", "")

    second = lab.call("resume")
    before = see(lab, second.stderr).records
    first.send_signal(signal.SIGCONT)
    woken = finish(first)

    assert (second.status, woken.status, code(woken)) == (0, 6, "MS504")
    assert see(lab, "").records == before


def test_F26_a_runner_on_another_host_is_respected(lab: Project) -> None:
    """Until it is silent for long, and a person says that its machine is dead."""
    run = init(lab)
    (run_root,) = lab.run_folders()
    lease(run_root, host="node042", pid=4711, age_sec=1)
    beating = lab.call("loop", run)
    lease(run_root, host="node042", pid=4711, age_sec=60)
    silent = lab.call("loop", run)

    taken = lab.call("loop", run, "--takeover")

    assert [(ended.status, code(ended)) for ended in (beating, silent, taken)] == [(6, "MS503")] * 2 + [(0, "")]


def test_F27_the_lease_of_a_dead_runner_is_taken(lab: Project) -> None:
    """Nobody removes a file, also where another program has its number now."""
    run = init(lab)
    (run_root,) = lab.run_folders()
    (run_root / "run.lock").write_text(f"{os.getpid()}\n")
    lease(run_root, host=os.uname().nodename, pid=os.getpid(), age_sec=1)

    assert lab.call("loop", run).status == 0


@pytest.mark.parametrize("number", SIGNALS, ids=str)
@rounds
def test_F9_a_signal_at_any_moment_loses_nothing(tmp_path: Path, number: signal.Signals, count: int) -> None:
    """The same command goes on, and what had ended is not done again."""
    moments = random.Random(number)  # noqa: S311  the same moments each time
    for index in range(1 + count // 40):
        project = prepare(tmp_path / str(index))
        runner = project.start("run", "recipe.yaml")
        time.sleep(moments.uniform(0.1, 1.5))
        runner.send_signal(number)
        stopped = finish(runner)
        before = see(project, stopped.stderr)

        ended = project.call("run", "recipe.yaml")

        after = see(project, ended.stderr)
        assert stopped.status in (0, -number, 128 + number)
        assert project.survivors() == []
        assert [*run_faults(project, after), *lost(before, after)] == []
