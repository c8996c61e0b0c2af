"""A job that meets the end of its time goes on in another one, under the same attempt; see the design for numbers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import RealProject, SlurmProject

# Each job of the attempt adds a line and lasts a second; it saves its state when it is told that its time is over.
CHECKPOINTS = """\
trap 'echo saved >> lines; exit 3' USR1
echo "$TOKEN $(cat data.txt)" >> lines
sleep 1
test "$(grep -c saved lines)" -lt {jobs} || exit 0
while :; do sleep 0.1; done
"""


def recipe(demo: SlurmProject, *, jobs: int, restart: int, **more: Any) -> None:  # noqa: ANN401  any value of YAML
    """Write a recipe whose step needs so many jobs to come to its end, and may be continued ``restart`` times."""
    demo.recipe(
        {
            "name": "relax",
            "run": ["sh", "-c", CHECKPOINTS.format(jobs=jobs - 1)],
            "stdout": "free",
            "files": {"data.txt": {"content": "given"}},
            "env": {"TOKEN": "t0k3n"},
            "resources": {"cores": 1, "time_limit": "5m"},
            "on_walltime": {"signal": "USR1", "before": "1s", "restart": restart},
            "fetch": {"required": ["lines"]},
            **more,
        }
    )


def lines(demo: SlurmProject) -> list[str]:
    """Give what the jobs of the attempt have left here."""
    (found,) = demo.project.folder.rglob("lines")
    return found.read_text(encoding="utf-8").splitlines()


def jobs_told(demo: SlurmProject, task: str = "relax") -> list[dict[str, Any]]:
    """Give what the attempt keeps of its jobs."""
    shown = demo.call("attempts", "@last", task, "--json").answer
    (attempt,) = shown if isinstance(shown, list) else shown["attempts"]
    told: list[dict[str, Any]] = attempt["operator_data"]["jobs"]
    return told


def warn(demo: SlurmProject, *, turn: int, attempts: int = 1) -> None:
    """Have the jobs that run now told of the end of their time, once each attempt has so many that have begun."""
    begun(demo, turn=turn, attempts=attempts)
    for job in demo.jobs():
        if job.is_active:
            demo.warn(job.job_id)


def begun(demo: SlurmProject, *, turn: int, attempts: int = 1) -> None:
    """Wait until the step of each attempt has begun in so many jobs."""
    until(lambda: [path.read_text().count("t0k3n") for path in demo.root.rglob("lines")] == [turn] * attempts)


def test_S13_it_goes_on_where_it_was(demo: SlurmProject) -> None:
    """In the same directory, with a script, a claim and a record of its own, and every job is visible."""
    recipe(demo, jobs=3, restart=2)
    began = time.monotonic()
    runner = demo.start("run", "demo")

    warn(demo, turn=1)
    warn(demo, turn=2)
    ended = finish(runner)
    seconds = time.monotonic() - began

    assert ended.status == 0, ended.stderr
    assert lines(demo) == ["t0k3n given", "saved", "t0k3n given", "saved", "t0k3n given"]
    assert [job["id"] for job in jobs_told(demo)] == [job.job_id for job in demo.jobs()]
    (attempt,) = demo.attempts("relax")
    assert attempt["status"] == "COMPLETED"
    assert 3.0 <= float(attempt["duration"].rstrip("s")) < seconds


def test_S13_no_more_often_than_it_may(demo: SlurmProject) -> None:
    """Then it has failed as its last job did."""
    recipe(demo, jobs=4, restart=1)
    runner = demo.start("run", "demo")

    warn(demo, turn=1)
    warn(demo, turn=2)
    ended = finish(runner)

    assert ended.status == 1
    (attempt,) = demo.attempts("relax")
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", "3")
    assert lines(demo) == ["t0k3n given", "saved"] * 2
    assert len(jobs_told(demo)) == len(demo.jobs()) == 2


def test_S13_items_of_an_array_go_on_each_for_itself(demo: SlurmProject) -> None:
    """Each in a job of its own; the folder of the array goes with the last of them."""
    demo.wire(keep={"files": "none"})
    recipe(demo, jobs=2, restart=2, foreach=[1, 2])
    runner = demo.start("run", "demo")

    warn(demo, turn=1, attempts=2)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert len(demo.jobs()) == 4
    assert [path for path in demo.root.iterdir() if path.is_dir()] == []
    told = [[job["id"] for job in jobs_told(demo, f"relax[{item}]")] for item in (1, 2)]
    assert [["_" in job_id for job_id in ids] for ids in told] == [[True, False]] * 2


def test_S13_the_next_runner_knows_the_jobs_before(demo: SlurmProject) -> None:
    """A runner that is killed while the second job runs loses nothing of the first."""
    recipe(demo, jobs=3, restart=2)
    runner = demo.start("run", "demo")
    warn(demo, turn=1)
    begun(demo, turn=2)
    until(lambda: demo.is_in("relax", "RUNNING"))
    runner.kill()
    finish(runner)

    second = demo.start("resume", "@last")
    warn(demo, turn=2)
    ended = finish(second)

    assert ended.status == 0, ended.stderr
    assert [job["id"] for job in jobs_told(demo)] == [job.job_id for job in demo.jobs()]
    assert len(demo.jobs()) == 3


@pytest.mark.slurm
def test_S13_on_a_real_cluster(real_demo: RealProject) -> None:
    """Slurm itself tells the job of the end of its time, at one of the looks that it takes every half minute."""
    early = {"signal": "USR1", "before": "30s", "restart": 1}
    recipe(real_demo, jobs=2, restart=1, on_walltime=early)
    runner = real_demo.start("run", "demo")

    begun(real_demo, turn=1)
    real_demo.asked("scontrol", "update", f"JobId={real_demo.jobs()[0].job_id}", "EndTime=now+45")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert lines(real_demo) == ["t0k3n given", "saved", "t0k3n given"]
    assert len(jobs_told(real_demo)) == len(real_demo.jobs()) == 2
