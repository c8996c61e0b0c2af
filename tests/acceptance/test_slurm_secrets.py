"""No secret stays on a cluster with an attempt that is not carried out there, nor does its folder for ever."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import FakeProject, SlurmProject

SECRET = "hunter2-hunter2"  # noqa: S105  nobody's
LIMITED = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1"


def give(demo: SlurmProject, script: str = "exit 0", **more: Any) -> None:  # noqa: ANN401  any value of YAML
    """Write a recipe whose step has a secret."""
    path = demo.project.write("secret", f"{SECRET}\n")
    step = {"name": "relax", "type": "shell", "operator_key": "hpc.default", "stdout": "free", **more}
    step |= {"run": ["sh", "-c", script], "env": {"TOKEN": "${{ secrets.token }}"}}
    recipe = {"secrets": {"token": {"file": str(path)}}, "steps": [step]}
    demo.project.write("workspaces/demo/recipe.yaml", yaml.safe_dump(recipe))


def secrets_there(demo: SlurmProject) -> list[str]:
    """Give the files on the cluster in which the secret stands."""
    found = subprocess.run(["grep", "-rlFs", SECRET, demo.root], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def test_E6_no_secret_stays_of_a_job_that_was_ended(demo: SlurmProject) -> None:
    """Its own script had no time to remove it."""
    give(demo, "echo begun > begun; sleep 60")
    runner = demo.start("run", "demo")
    until(lambda: [*demo.root.rglob("begun")])
    assert secrets_there(demo) != []

    demo.end(demo.jobs()[0].job_id, "CANCELLED")
    finish(runner)

    assert len([*demo.root.rglob(".ms/claim")]) == 1
    assert secrets_there(demo) == []


@pytest.mark.parametrize(("keep", "stay"), [("failed", 2), ("all", 2), ("none", 0)])
def test_E6_a_submission_that_is_refused_leaves_no_secret(demo: SlurmProject, keep: str, stay: int) -> None:
    """The folders of the attempts, and of their array, go as those of others do."""
    demo.wire(slurm={"partition": "nowhere"}, keep={"files": keep})
    give(demo, foreach=[1, 2])

    ended = demo.run()

    assert "Invalid partition name specified" in ended.stderr
    assert secrets_there(demo) == []
    assert len([*demo.root.glob("*/*/.ms/payload.sh")]) == stay
    assert len([*demo.root.glob("*/*/.ms/fetched")]) == stay
    assert len([*demo.root.glob("*/jobs/*")]) == min(stay, 1)


def test_E6_a_runner_that_is_killed_before_it_hears_of_a_refusal_leaves_no_secret(demo: SlurmProject) -> None:
    """The next one asks again, and puts things in order."""
    demo.wire(slurm={"partition": "nowhere"}, keep={"files": "none"})
    give(demo)
    demo.holds("sbatch", is_done=True)
    first = demo.start("run", "demo")
    until(lambda: demo.calls("sbatch"))
    first.kill()
    finish(first)
    demo.let_go("sbatch")
    assert secrets_there(demo) != []

    ended = demo.run()

    assert "Invalid partition name specified" in ended.stderr
    assert [path for path in demo.root.iterdir() if path.is_dir()] == []


def test_E6_no_secret_waits_with_an_attempt_that_is_refused_for_now(demo: SlurmProject) -> None:
    """It is brought there again with the next try."""
    give(demo, f"test ${{#TOKEN}} = {len(SECRET)}")
    demo.wire(poll_every=1.0)
    demo.says("sbatch", LIMITED)
    runner = demo.start("run", "demo")
    until(lambda: demo.calls("sbatch"))
    until(lambda: secrets_there(demo) == [])

    demo.says("sbatch")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert secrets_there(demo) == []


def test_E6_an_attempt_that_is_cancelled_while_it_is_refused_leaves_nothing(demo: SlurmProject) -> None:
    """Its folder was made with the first try."""
    demo.wire(keep={"files": "none"})
    give(demo)
    demo.says("sbatch", LIMITED)
    runner = demo.start("run", "demo")
    until(lambda: "QOSMax" in demo.call("explain", "@last").stdout)

    demo.call("cancel", "@last")
    finish(runner)

    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["CANCELLED"]
    assert [path for path in demo.root.iterdir() if path.is_dir()] == []


def checkpoints(demo: FakeProject, keep: str) -> None:
    """Write a recipe whose step is continued in another job once it was told of the end of its time."""
    demo.wire(keep={"files": keep})
    saves = "trap 'echo saved >> lines; exit 3' USR1; echo begun > begun; while :; do sleep 0.1; done"
    near_end = {"signal": "USR1", "before": "6s", "restart": 2}
    resources = {"cores": 1, "time_limit": "1m"}
    give(demo, saves, on_walltime=near_end, resources=resources, fetch={"required": ["lines"]})


@pytest.mark.parametrize("keep", ["failed", "none"])
def test_E6_S24_an_attempt_that_is_cancelled_before_it_is_continued_comes_home(
    fake_demo: FakeProject, keep: str
) -> None:
    """The job before has left files and a secret, though the next one was never sent."""
    checkpoints(fake_demo, keep)
    runner = fake_demo.start("run", "demo")
    until(lambda: list(fake_demo.root.rglob("begun")))
    fake_demo.call("operators", "pause", "hpc.default")
    fake_demo.warn("1")
    until(lambda: fake_demo.is_in("relax", "SUBMITTING"))

    fake_demo.call("cancel", "@last")
    finish(runner)

    assert [attempt["status"] for attempt in fake_demo.attempts("relax")] == ["CANCELLED"]
    assert [path.read_text() for path in fake_demo.project.folder.rglob("lines")] == ["saved\n"]
    assert secrets_there(fake_demo) == []
    assert len(fake_demo.jobs()) == 1


def test_E6_S24_an_attempt_that_slurm_does_not_continue_comes_home(fake_demo: FakeProject) -> None:
    """It says why it was not continued; its minute is short, and the cluster itself tells it in the middle."""
    fake_demo.cluster.set(minute_sec=12.0)
    checkpoints(fake_demo, "none")
    refused = "echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1"
    fake_demo.says("sbatch", f'test "$(wc -l < "$0.calls")" -gt 1 || exec "$real" "$@"; {refused}')

    ended = fake_demo.run()

    assert "could not be continued: Invalid partition name specified" in ended.stderr
    assert [attempt["status"] for attempt in fake_demo.attempts("relax")] == ["TIMEOUT"]
    assert [path.read_text() for path in fake_demo.project.folder.rglob("lines")] == ["saved\n"]
    assert [path for path in fake_demo.root.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("code", [0, 3])
def test_S24_a_runner_that_is_killed_once_it_has_removed_a_folder_knows_its_end(demo: SlurmProject, code: int) -> None:
    """What the job left was brought home before; the step is not run again."""
    demo.wire(keep={"files": "none"})
    give(demo, f"exit {code}")
    waits = 'for _ in $(seq 1000); do test -e "$0.go" && break; sleep 0.05; done'
    demo.says("rm", f'/bin/rm "$@" || exit; test "$1" != -rf || {{ touch "$0.done"; {waits}; }}')
    first = demo.start("run", "demo")
    until((demo.shims / "rm.done").exists)
    first.kill()
    finish(first)
    demo.let_go("rm")

    ended = demo.run()

    assert ended.status == (1 if code else 0), ended.stderr
    found = [(one["status"], one["exit_code"]) for one in demo.attempts("relax")]
    assert found == [("FAILED" if code else "COMPLETED", str(code))]
