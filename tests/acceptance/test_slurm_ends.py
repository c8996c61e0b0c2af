"""However a job of a cluster ends, its attempt ends as that, or goes on; the numbers are those of the design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import FakeProject, RealProject, SlurmProject

OK = 'echo \'{"status": "ok", "outputs": []}\''
# Runs until somebody makes the file, which has to be done soon.
HELD = "for _ in $(seq 600); do test -f go && break; sleep 0.1; done"


def step(script: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any value of YAML
    """Give a step that runs a shell script on the cluster."""
    return {"name": "relax", "run": ["sh", "-c", script], "stdout": "free", **more}


def ended_as(demo: SlurmProject, script: str, state: str, **more: Any) -> dict[str, str]:  # noqa: ANN401  see above
    """Run a step whose job somebody ends in a state once it says that it has begun; give its attempt."""
    demo.recipe(step(script, **more))
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("begun")))
    demo.end(demo.jobs()[-1].job_id, state)
    finish(runner)
    return demo.attempts("relax")[0]


def test_S11_a_timeout_beats_the_record(demo: SlurmProject) -> None:
    """The step ends with 0 when it is told to end, and that is no success."""
    trapped = "trap 'exit 0' TERM; echo begun > begun; while :; do sleep 0.1; done"

    attempt = ended_as(demo, trapped, "TIMEOUT", resources={"time_limit": "2m"})

    assert attempt["status"] == "TIMEOUT"
    assert attempt["reason"].startswith("timeout after 120s: the job was ended at its time limit")


def test_S11_who_cancelled_is_told_of(demo: SlurmProject) -> None:
    """A job that somebody else cancelled is a failure of its attempt."""
    attempt = ended_as(demo, "echo begun > begun; sleep 60", "CANCELLED")

    assert attempt["status"] == "FAILED"
    assert attempt["reason"].startswith("the job was cancelled")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("NODE_FAIL", "lost: a node of the job failed"),
        ("BOOT_FAIL", "lost: a node of the job did not start"),
        ("PREEMPTED", "lost: the job had to give way to another one"),
    ],
)
def test_S12_what_the_site_ended_is_lost(demo: SlurmProject, state: str, reason: str) -> None:
    """It is the site's fault, and does not spend the step's own retries."""
    demo.recipe(step("test ! -e ../../seen || exit 0; touch ../../seen; echo begun > begun; sleep 60"))
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("begun")))
    demo.end(demo.jobs()[-1].job_id, state)

    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    first, last = demo.attempts("relax")
    assert first["status"] == "LOST"
    assert first["reason"].startswith(reason)
    assert last["status"] == "COMPLETED"


def test_S12_a_deadline_that_cannot_be_met_is_told(demo: SlurmProject) -> None:
    """It is the step's: another attempt would come later still."""
    demo.recipe(step("exit 0"))
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "QUEUED"))

    demo.end(demo.jobs()[-1].job_id, "DEADLINE")
    finish(runner)

    (attempt,) = demo.attempts("relax")
    assert (attempt["status"], attempt["reason"]) == (
        "FAILED",
        "deadline: the job could not end before its deadline",
    )


@pytest.mark.parametrize("partition", ["batch", "debug"])
def test_S12_a_node_that_failed_is_avoided(demo: SlurmProject, partition: str) -> None:
    """The next attempt excludes it, unless the partition has no other."""
    demo.wire(slurm={"partition": partition})
    seen = "test ! -e ../../seen || { echo $SLURMD_NODENAME > node; exit 0; }; echo $SLURMD_NODENAME > ../../seen"
    demo.recipe(step(f"{seen}; sleep 60", fetch={"required": ["node"]}, resources={"time_limit": "1m"}))
    runner = demo.start("run", "demo")
    until(lambda: [path for path in demo.root.rglob("seen") if path.stat().st_size])
    (seen_at,) = demo.root.rglob("seen")
    failed = seen_at.read_text().strip()

    demo.end(demo.jobs()[-1].job_id, "NODE_FAIL")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["LOST", "COMPLETED"]
    (node,) = demo.project.folder.glob("workspaces/**/relax/attempts/*/node")
    assert (node.read_text().strip() == failed) == (partition == "debug")


def test_S12_losses_have_a_budget_of_their_own(demo: SlurmProject) -> None:
    """Five more attempts, though the step asks for none."""
    demo.recipe(step("kill -9 $PPID; sleep 60"))
    demo.says("sbatch", 'rm -rf .ms/slurm.log; mkdir .ms/slurm.log; exec "$real" "$@"')

    ended = demo.project.call("run", "demo", env={**demo.env, "MATTERSTACK_LOSS_DELAY": "0.01"})

    assert ended.status == 1
    attempts = demo.attempts("relax")
    assert {attempt["status"] for attempt in attempts} == {"LOST"}
    assert "could not be launched" in attempts[0]["reason"]
    assert len(attempts) == 6


def test_S12_more_memory_is_asked_for_after_too_little(fake_demo: FakeProject) -> None:
    """As the step's rule for retries says; on real clusters, jobs take too much themselves."""
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


@pytest.mark.slurm
def test_S12_a_job_that_slurm_kills_for_its_memory_gets_more(real_demo: RealProject) -> None:
    """Slurm calls that FAILED, and tells why in the job's log alone."""
    gets_more_memory(real_demo, "FAILED")


@pytest.mark.slurm
def test_S12_a_job_whose_program_the_kernel_kills_gets_more(real_beta: RealProject) -> None:
    """Slurm calls that OUT_OF_MEMORY, though the job's script goes on and ends well."""
    if not Path("/sys/fs/cgroup/memory/cgroup.procs").exists():
        pytest.skip("the kernel keeps no job in its memory here: there are no cgroups of version 1")
    gets_more_memory(real_beta, "OUT_OF_MEMORY")


def gets_more_memory(demo: RealProject, state: str) -> None:
    """Let a step take more memory than it asks for at first."""
    grows = {"retry": {"max": 1, "grow": {"memory_gb": "8x"}}, "resources": {"memory_gb": 0.1, "cores": 1}}
    demo.recipe(step("{ head -c 300M /dev/zero; sleep 3; } | tail > /dev/null; exit 0", **grows))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    first, last = demo.attempts("relax")
    assert first["status"] == "FAILED"
    assert first["reason"].startswith("oom: the job used more memory than it asked for")
    assert last["status"] == "COMPLETED"
    assert [job.state for job in demo.jobs()] == [state, "COMPLETED"]
