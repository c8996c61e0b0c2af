"""A job that meets the end of its time goes on in another one, under the same attempt; see the design for numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.program import finish
from tests.acceptance.slurm_projects import FakeProject, RealProject, SlurmProject, until

# Each job of the attempt adds a line; it saves its state when it is told that its time is over.
CHECKPOINTS = """\
echo "$TOKEN $(cat data.txt)" >> lines
trap 'echo saved >> lines; exit 3' USR1
test "$(grep -c saved lines)" -lt {jobs} || exit 0
echo begun > begun
while :; do sleep 0.1; done
"""
# Slurm moves the end of a real job near, and sends the signal up to a minute too early.
LONGER = {"resources": {"time_limit": "5m"}, "on_walltime": {"signal": "USR1", "before": "30s", "restart": 1}}


def recipe(demo: SlurmProject, *, jobs: int, restart: int, **more: Any) -> None:  # noqa: ANN401  any value of YAML
    """Write a recipe whose step needs so many jobs to come to its end, and may be continued ``restart`` times."""
    demo.recipe(
        {
            "name": "relax",
            "run": ["sh", "-c", CHECKPOINTS.format(jobs=jobs - 1)],
            "stdout": "free",
            "files": {"data.txt": {"content": "given"}},
            "env": {"TOKEN": "t0k3n"},
            "resources": {"cores": 1, "time_limit": "1m"},
            "on_walltime": {"signal": "USR1", "before": "1s", "restart": restart},
            "fetch": {"required": ["lines"]},
            **more,
        }
    )


def lines(demo: SlurmProject) -> list[str]:
    """Give what the jobs of the attempt have left here."""
    (found,) = demo.project.folder.rglob("lines")
    return found.read_text(encoding="utf-8").splitlines()


def jobs_told(demo: SlurmProject) -> list[dict[str, Any]]:
    """Give what the attempt keeps of its jobs."""
    shown = demo.call("attempts", "@last", "relax", "--json").answer
    (attempt,) = shown if isinstance(shown, list) else shown["attempts"]
    told: list[dict[str, Any]] = attempt["operator_data"]["jobs"]
    return told


def test_S13_it_goes_on_where_it_was(fake_demo: FakeProject) -> None:
    """In the same directory, with a script, a claim and a record of its own, and every job is visible."""
    fake_demo.cluster.set(minute_sec=3.0)
    recipe(fake_demo, jobs=3, restart=2)

    ended = fake_demo.run()

    assert ended.status == 0, ended.stderr
    assert lines(fake_demo) == ["t0k3n given", "saved", "t0k3n given", "saved", "t0k3n given"]
    assert [job["id"] for job in jobs_told(fake_demo)] == ["1", "2", "3"]
    (attempt,) = fake_demo.attempts("relax")
    assert attempt["status"] == "COMPLETED"
    assert 3.5 < json.loads(attempt.get("duration", "0").rstrip("s") or "0") < 30


def test_S13_no_more_often_than_it_may(fake_demo: FakeProject) -> None:
    """Then it has failed as its last job did."""
    fake_demo.cluster.set(minute_sec=3.0)
    recipe(fake_demo, jobs=4, restart=1)

    ended = fake_demo.run()

    assert ended.status == 1
    (attempt,) = fake_demo.attempts("relax")
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", "3")
    assert len(fake_demo.jobs()) == 2


def test_S13_items_of_an_array_go_on_each_for_itself(fake_demo: FakeProject) -> None:
    """One of them has ended by then."""
    fake_demo.cluster.set(minute_sec=3.0)
    fake_demo.wire(keep={"files": "none"})
    recipe(fake_demo, jobs=2, restart=2, foreach=[1, 2])

    ended = fake_demo.run()

    assert ended.status == 0, ended.stderr
    assert [*fake_demo.root.iterdir()] == []
    assert sorted(job.job_id for job in fake_demo.jobs()) == ["1_0", "1_1", "3", "4"]


def test_S13_the_next_runner_knows_the_jobs_before(fake_demo: FakeProject) -> None:
    """A runner that is killed while the second job runs loses nothing of the first."""
    fake_demo.cluster.set(minute_sec=3.0)
    recipe(fake_demo, jobs=3, restart=2)
    runner = fake_demo.start("run", "demo")
    until(lambda: len(fake_demo.jobs()) > 1)
    until(lambda: fake_demo.attempts("relax")[0]["status"] == "RUNNING")
    runner.kill()
    finish(runner)

    ended = fake_demo.call("resume", "@last")

    assert ended.status == 0, ended.stderr
    assert [job["id"] for job in jobs_told(fake_demo)] == ["1", "2", "3"]


@pytest.mark.slurm
def test_S13_on_a_real_cluster(real_demo: RealProject) -> None:
    """The attempt goes on in its directory once; then the second job comes to the end of its time as well."""
    recipe(real_demo, jobs=4, restart=1, **LONGER)
    runner = real_demo.start("run", "demo")

    end_soon(real_demo, 1)
    end_soon(real_demo, 2)
    ended = finish(runner)

    assert ended.status == 1
    (attempt,) = real_demo.attempts("relax")
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", "3")
    assert lines(real_demo) == ["t0k3n given", "saved"] * 2
    assert len(jobs_told(real_demo)) == len(real_demo.jobs()) == 2


def end_soon(demo: RealProject, turn: int) -> None:
    """Move the end of the time of a job of the attempt near, once its step has begun."""
    until(lambda: [path.read_text().count("t0k3n") for path in demo.root.rglob("lines")] == [turn])
    demo.asked("scontrol", "update", f"JobId={demo.jobs()[turn - 1].job_id}", "EndTime=now+45")
