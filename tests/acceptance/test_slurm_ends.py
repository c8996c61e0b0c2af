"""However a job of a cluster ends, its attempt ends as that, or goes on; the numbers are those of the design."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.program import finish
from tests.acceptance.slurm_projects import FakeProject, SlurmProject, until

OK = 'echo \'{"status": "ok", "outputs": []}\''
# Runs until somebody makes the file, which has to be done soon.
HELD = "for _ in $(seq 600); do test -f go && break; sleep 0.1; done"


def step(script: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any value of YAML
    """Give a step that runs a shell script on the cluster."""
    return {"name": "relax", "run": ["sh", "-c", script], "stdout": "free", **more}


def ended_as(demo: SlurmProject, script: str, state: str, **more: Any) -> dict[str, str]:  # noqa: ANN401  see above
    """Run a step whose job somebody ends in a state as soon as it runs; give its attempt."""
    demo.recipe(step(f"echo begun > begun; {script}", **more))
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("begun")))
    demo.end(demo.jobs()[-1].job_id, state)
    finish(runner)
    return demo.attempts("relax")[0]


def test_S11_a_timeout_beats_the_record(demo: SlurmProject) -> None:
    """The step ends with 0 when it is told to end, and that is no success."""
    trapped = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

    attempt = ended_as(demo, trapped, "TIMEOUT", resources={"time_limit": "2m"})

    assert attempt["status"] == "TIMEOUT"
    assert attempt["reason"].startswith("timeout after 120s: the job was ended at its time limit")


def test_S11_who_cancelled_is_told_of(demo: SlurmProject) -> None:
    """A job that somebody else cancelled is a failure of its attempt."""
    attempt = ended_as(demo, "sleep 60", "CANCELLED")

    assert attempt["status"] == "FAILED"
    assert attempt["reason"].startswith("the job was cancelled")


@pytest.mark.parametrize(
    ("state", "ended", "reason"),
    [
        ("OUT_OF_MEMORY", "FAILED", "oom: the job used more memory than it asked for"),
        ("DEADLINE", "FAILED", "deadline: the job could not end before its deadline"),
        ("NODE_FAIL", "LOST", "lost: a node of the job failed"),
        ("BOOT_FAIL", "LOST", "lost: a node of the job did not start"),
        ("PREEMPTED", "LOST", "lost: the job had to give way to another one"),
    ],
)
def test_S12_ends_are_told_apart(fake_demo: FakeProject, state: str, ended: str, reason: str) -> None:
    """Those that are the site's fault are lost, and do not spend the step's own retries."""
    again = "test -f .ms/retried || sleep 60"
    fake_demo.recipe(step(f"echo begun > begun; {again}"))
    runner = fake_demo.start("run", "demo")
    until(lambda: list(fake_demo.root.rglob("begun")))
    fake_demo.end("1", state)
    if ended == "LOST":
        until(lambda: len(fake_demo.jobs()) > 1)
        fake_demo.end("2", "CANCELLED")
    finish(runner)

    attempts = fake_demo.attempts("relax")

    assert (attempts[0]["status"], attempts[0]["reason"]) == (ended, reason)
    assert len(attempts) == (2 if ended == "LOST" else 1)


def test_S12_a_node_that_failed_is_avoided(fake_demo: FakeProject) -> None:
    """The next attempt excludes it."""
    fake_demo.wire(keep={"files": "all"})
    fake_demo.recipe(step("echo $SLURMD_NODENAME > begun; test $SLURMD_NODENAME != node1 || sleep 60"))
    runner = fake_demo.start("run", "demo")
    until(lambda: list(fake_demo.root.rglob("begun")))

    fake_demo.cluster.fail_node("node1")
    until(lambda: len(fake_demo.jobs()) > 1)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    scripts = [path.read_text() for path in fake_demo.root.rglob(".ms/job.sh")]
    assert sorted("#SBATCH --exclude=node1\n" in text for text in scripts) == [False, True]
    assert [attempt["status"] for attempt in fake_demo.attempts("relax")] == ["LOST", "COMPLETED"]


def test_S12_losses_have_a_budget_of_their_own(fake_demo: FakeProject) -> None:
    """Five more attempts, though the step asks for none."""
    fake_demo.recipe(step("kill -9 $PPID; sleep 60"))
    fake_demo.says("sbatch", '"$real" "$@"; code=$?; rm -f .ms/slurm.log; mkdir -p .ms/slurm.log; exit $code')

    ended = fake_demo.call("run", "demo")

    assert ended.status == 1
    attempts = fake_demo.attempts("relax")
    assert {attempt["status"] for attempt in attempts} == {"LOST"}
    assert "could not be launched" in attempts[0]["reason"]
    assert len(attempts) == 6


def test_S12_more_memory_is_asked_for_after_too_little(fake_demo: FakeProject) -> None:
    """As the step's rule for retries says."""
    grows = {"retry": {"max": 1, "grow": {"memory_gb": "2x"}}, "resources": {"memory_gb": 1, "cores": 1}}
    fake_demo.recipe(step("echo begun > begun; test -f ../on || sleep 60", **grows))
    runner = fake_demo.start("run", "demo")
    until(lambda: list(fake_demo.root.rglob("begun")))
    (fake_demo.root / "go").touch()

    fake_demo.end("1", "OUT_OF_MEMORY")
    until(lambda: len(fake_demo.cluster.jobs()) > 1)
    fake_demo.end("2", "CANCELLED")
    finish(runner)

    assert [job["memory_mb"] for job in fake_demo.cluster.jobs()] == [1024, 2048]
