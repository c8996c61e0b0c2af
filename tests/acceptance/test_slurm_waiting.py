"""What waits, is stuck, or is not wanted any more on a cluster; the numbers are those of the design."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
import yaml

from tests.acceptance.program import finish, reads, until
from tests.acceptance.slurm_projects import FakeProject, RealProject, SlurmProject

FOR_A_MINUTE = "echo begun > begun; sleep 60"


def step(script: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any value of YAML
    """Give a step that runs a shell script on the cluster."""
    return {"name": "relax", "run": ["sh", "-c", script], "stdout": "free", **more}


def status(demo: SlurmProject) -> list[dict[str, str]]:
    """Give the tasks of the last run; none where it has not begun."""
    ended = demo.call("status", "@last")
    return ended.table if ended.status == 0 else [{"status": "", "reason": ""}]


def test_S27_a_job_has_the_time_zone_and_the_language_of_the_login(demo: SlurmProject) -> None:
    """Slurm hands on the variables of whoever submits; what reads its answers has others."""
    demo.recipe(step('echo "${TZ-none} ${LC_ALL-none}" > out.txt', fetch={"required": ["out.txt"]}))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("TZ", "LC_ALL"):
            patch.delenv(name, raising=False)
        ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["none none\n"]


def test_S14_a_job_that_runs_is_cancelled(demo: SlurmProject) -> None:
    """The attempt has ended once Slurm says that the job has."""
    demo.recipe(step(FOR_A_MINUTE))
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("begun")))

    demo.call("cancel", "@last")
    finish(runner)

    until(lambda: not any(job.is_active for job in demo.jobs()))
    assert demo.attempts("relax")[0]["status"] == "CANCELLED"


def test_S14_a_run_that_is_cancelled_by_force_ends_its_jobs(demo: SlurmProject) -> None:
    """Nobody drives it, and what it does last is left out."""
    _killed_with_a_last_step(demo)

    ended = demo.call("cancel", "@last", "--force")

    assert ended.status == 0, ended.stderr
    assert not any(job.is_active for job in demo.jobs())
    assert demo.attempts("relax")[0]["status"] == "CANCELLED"
    assert not list(demo.project.folder.rglob("last.txt"))


def test_S14_a_cancellation_that_waits_for_the_cluster_can_be_broken_off(demo: SlurmProject) -> None:
    """A cluster that is away would hold it for as long as it is."""
    _killed_with_a_last_step(demo)
    demo.controller("down")
    cancelling = demo.start("cancel", "@last")
    until(lambda: "run.resumed" in [kind for kind, _ in demo.project.events()])

    cancelling.send_signal(signal.SIGINT)

    assert finish(cancelling).status == 130
    assert demo.call("status", "@last", "--json").answer["status"] == "PENDING"


def test_S14_what_may_go_on_is_named(demo: SlurmProject) -> None:
    """A run that is ended by its records alone cancels no job."""
    _killed_with_a_last_step(demo)
    (job,) = demo.jobs()

    ended = demo.call("cancel", "@last", "--force", "--no-wait")

    assert ended.status == 0, ended.stderr
    assert f"relax was not ended and may go on at hpc.default as {job.job_id}" in ended.stderr
    assert [job.is_active for job in demo.jobs()] == [True]
    assert demo.call("status", "@last", "--json").answer["status"] == "CANCELLED"


def _killed_with_a_last_step(demo: SlurmProject) -> None:
    """Have a job run whose runner was killed."""
    steps = {"steps": [{**step(FOR_A_MINUTE), "type": "shell", "operator_key": "hpc.default"}]}
    last = {"finally": [{"name": "last", "type": "shell", "run": ["touch", "last.txt"], "stdout": "free"}]}
    demo.project.write("workspaces/demo/recipe.yaml", yaml.safe_dump({**steps, **last}))
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING") and list(demo.root.rglob("begun")))
    runner.kill()
    finish(runner)


@pytest.mark.parametrize("is_changed", [False, True])
def test_S14_a_job_ends_before_its_step_runs_again(demo: SlurmProject, is_changed: bool) -> None:
    """By force, or since its recipe has changed."""
    again = "test ! -e ../../seen || exit 0; touch ../../seen begun; sleep 60"
    demo.recipe(step(again))
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING") and list(demo.root.rglob("begun")))
    runner.kill()
    finish(runner)
    if is_changed:
        demo.recipe(step(f"{again}; true"))

    words = ("resume", "@last", "--accept-recipe-change") if is_changed else ("rerun", "@last", "relax", "--force")
    ended = demo.call(*words)

    assert ended.status == 0, ended.stderr
    assert sorted(job.state for job in demo.jobs()) == ["CANCELLED", "COMPLETED"]
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["CANCELLED", "COMPLETED"]


def test_S14_that_scancel_fails_says_nothing(demo: SlurmProject) -> None:
    """It is asked again, and what the queue shows counts."""
    demo.recipe(step(FOR_A_MINUTE))
    demo.says("scancel", 'test -f "$0.once" && exec "$real" "$@"; touch "$0.once"; exit 1')
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("begun")))
    asking = demo.start("cancel", "@last")
    until(lambda: demo.calls("scancel"))

    assert runner.poll() is None
    demo.end(demo.jobs()[0].job_id, "CANCELLED")
    finish(runner)
    finish(asking)

    assert demo.attempts("relax")[0]["status"] == "CANCELLED"


def test_S14_one_of_an_array_is_cancelled_alone(demo: SlurmProject) -> None:
    """The others go on."""
    one = "test $N = 1 || exit 0; echo begun > ../begun; sleep 60"
    demo.recipe(step(one, foreach=[1, 2], env={"N": "${{ item }}"}))
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax[1]", "RUNNING") and list(demo.root.glob("*/begun")))
    attempt = demo.attempts("relax[1]")[0]["attempt_id"]

    asking = demo.start("cancel-attempt", "@last", attempt)
    finish(runner)
    finish(asking)

    assert sorted(job.state for job in demo.jobs()) == ["CANCELLED", "COMPLETED"]


def test_S14_one_that_is_cancelled_while_its_array_is_refused_never_runs(demo: SlurmProject) -> None:
    """Its directory may lie there from the first try; the array that Slurm takes later leaves its number out."""
    demo.recipe(step('echo "$N" >> ../ran', foreach=[1, 2, 3, 4], env={"N": "${{ item }}"}))
    demo.says("sbatch", "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1")
    runner = demo.start("run", "demo")
    until(lambda: "QOSMax" in demo.call("explain", "@last").stdout)

    demo.call("cancel-attempt", "@last", demo.attempts("relax[1]")[0]["attempt_id"])
    until(lambda: demo.is_in("relax[1]", "CANCELLED"))
    demo.says("sbatch")
    finish(runner)

    (ran,) = demo.root.rglob("ran")
    assert sorted(ran.read_text().split()) == ["2", "3", "4"]


def test_S14_a_job_is_cancelled_once_it_is_found(demo: SlurmProject) -> None:
    """While nobody knows whether there is one, nothing is said of its end."""
    demo.recipe(step(FOR_A_MINUTE))
    demo.says(
        "sbatch", '"$real" "$@" >/dev/null; rm -f .ms/job; echo "Socket timed out on send/recv operation" >&2; exit 1'
    )
    demo.says("squeue", "exit 1")
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "UNKNOWN"))

    asking = demo.start("cancel", "@last")
    until(lambda: "asked" in demo.call("explain", "@last").stdout)
    demo.says("squeue")
    finish(runner)
    finish(asking)

    assert demo.attempts("relax")[0]["status"] == "CANCELLED"
    assert not any(job.is_active for job in demo.jobs())


def test_S14_what_was_never_sent_ends_at_once(demo: SlurmProject) -> None:
    """No job is made for it."""
    demo.recipe(step(FOR_A_MINUTE))
    with demo.without_jobs():
        runner = demo.start("run", "demo")
        until(lambda: demo.calls("sbatch"))

        demo.call("cancel", "@last")
        finish(runner)

    assert demo.attempts("relax")[0]["status"] == "CANCELLED"
    assert demo.jobs() == []


def test_S15_why_a_job_waits_is_shown(demo: SlurmProject) -> None:
    """By ``status`` and ``explain``, in the words of Slurm."""
    demo.recipe(step("exit 0"))
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runner = demo.start("run", "demo")

    until(lambda: "JobHeldUser" in status(demo)[0]["reason"])

    assert "JobHeldUser" in demo.call("explain", "@last").stdout
    demo.slurm("scontrol", "release", demo.jobs()[0].job_id)
    assert finish(runner).status == 0
    assert status(demo)[0]["reason"] == ""


def test_S15_what_never_starts_by_itself_comes_with_what_to_do(demo: SlurmProject) -> None:
    """After a while; it can be typed."""
    demo.recipe(step("exit 0"))
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runner = demo.start("run", "demo")

    until(lambda: "it will never start by itself" in demo.call("explain", "@last").stdout)

    until(lambda: "scontrol release" in status(demo)[0]["reason"])
    (command,) = re.findall(r"scontrol release \d+", status(demo)[0]["reason"])
    assert demo.slurm(*command.split()).returncode == 0
    assert finish(runner).status == 0


def test_S11_a_state_that_nobody_knows_is_going_on(demo: SlurmProject) -> None:
    """It is named in ``explain``."""
    demo.recipe(step("while test ! -f ../go; do sleep 0.1; done"))
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING"))
    demo.says("squeue", '"$real" "$@" | sed "s/[|]RUNNING[|]/|A_STATE_OF_TOMORROW|/"')

    until(lambda: "A_STATE_OF_TOMORROW" in demo.call("explain", "@last").stdout)

    assert runner.poll() is None
    demo.says("squeue")
    next(demo.root.glob("2*")).joinpath("go").touch()
    assert finish(runner).status == 0


def test_S26_after_a_sleep_one_look_at_a_time_settles_all(demo: SlurmProject) -> None:
    """Slurm has forgotten the job by then; what it left tells how it ended."""
    demo.wire(poll_every=1.0)
    demo.recipe(step("echo begun > begun; while test ! -f go; do sleep 0.1; done", foreach=[1, 2, 3]))
    runner = demo.start("run", "demo")
    until(lambda: len(list(demo.root.rglob("begun"))) == 3)
    runner.send_signal(signal.SIGSTOP)
    seen = len(demo.calls("squeue"))
    for begun in demo.root.rglob("begun"):
        (begun.parent / "go").touch()
    if isinstance(demo, FakeProject):
        until(lambda: not any(job.is_active for job in demo.jobs()))
        demo.cluster.set(accounting="off", min_job_age_sec=0.0)
    until(lambda: not demo.slurm("squeue", "-h", "-t", "all").stdout.strip())

    runner.send_signal(signal.SIGCONT)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert len(demo.calls("squeue")) - seen <= 3


def test_S28_a_site_that_is_down_delays_nobody_else(demo: SlurmProject) -> None:
    """A step of another operator is done; ``status`` says why the first one waits."""
    demo.controller("down")
    demo.wire_all({"hpc.default": demo.operator(), "local.default": {"kind": "local"}})
    here = step("echo 1 > one", name="here", operator_key="local.default", parallel=True)
    demo.recipe(step("exit 0", parallel=True), here)
    runner = demo.start("run", "demo")

    until(lambda: [row["status"] for row in status(demo)] == ["RUNNING", "COMPLETED"])

    until(lambda: "Unable to contact slurm controller" in status(demo)[0]["reason"])
    demo.controller("up")
    assert finish(runner).status == 0


def test_S28_a_runner_without_a_terminal_tells_of_a_site_that_is_away(demo: SlurmProject) -> None:
    """Once, and once more when it is reached again; whoever looks at what it printed sees why nothing went on."""
    demo.controller("down")
    demo.recipe(step("while test ! -f ../go; do sleep 0.1; done"))
    runner = demo.start("run", "demo")
    until(lambda: "Unable to contact slurm controller" in status(demo)[0]["reason"])

    demo.controller("up")
    until(lambda: demo.is_in("relax", "RUNNING"))
    next(demo.root.glob("2*")).joinpath("go").touch()
    ended = finish(runner)

    notes = [line for line in ended.stderr.splitlines() if line.startswith("note:")]
    assert ["Unable to contact" in notes[0], "is reached again" in notes[1], len(notes)] == [True, True, 2]
    assert "  = relax waits; it is tried again by itself" in ended.stderr


def test_S28_a_runner_that_goes_on_tells_of_a_site_that_is_away(demo: SlurmProject) -> None:
    """Of the job there is nothing new, and so there was nothing to be recorded."""
    _killed_with_a_last_step(demo)
    demo.controller("down")

    runner = demo.start("resume", "@last")
    told = reads(runner, "Unable to contact slurm controller")
    runner.send_signal(signal.SIGINT)

    assert told.startswith("note: hpc.default: ")
    assert finish(runner).status == 130


@pytest.mark.slurm
def test_S28_a_login_that_is_away_delays_no_other_site(real_demo: RealProject, real_beta: RealProject) -> None:
    """A step of the other site is done; ``status`` says when the first one is tried again."""
    real_demo.proxy.refuse()
    real_demo.wire_all({"hpc.default": real_demo.operator(), "hpc.other": real_beta.operator()})
    there = step("exit 0", name="there", operator_key="hpc.other", parallel=True)
    real_demo.recipe(step("exit 0", parallel=True), there)
    runner = real_demo.start("run", "demo")

    until(lambda: [row["status"] for row in status(real_demo)] == ["RUNNING", "COMPLETED"])

    assert "alpha cannot be reached" in status(real_demo)[0]["reason"]
    away = re.compile("hpc.default: alpha cannot be reached.*; next at 20")
    until(lambda: away.search(real_demo.call("status", "@last").stderr))
    real_demo.proxy.resume()
    assert finish(runner).status == 0


def test_D1_words_reach_the_program_as_they_are(demo: SlurmProject) -> None:
    """Through the archive, the login's shell and the job's script."""
    words = ["; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "a\nb", "-rf", "*", "'\"'"]
    each = {"stdout": "free", "parallel": True}
    demo.recipe(*({**each, "name": f"n{n}", "run": ["printf", "%s", w], "env": {"W": w}} for n, w in enumerate(words)))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert sorted(path.read_text() for path in demo.project.folder.rglob("stdout.log")) == sorted(words)
    assert list(demo.root.parent.rglob("PWNED")) == []


def test_S25_as_many_submissions_as_slurm_makes_necessary(fake_demo: FakeProject) -> None:
    """Of arrays as large as it allows; only those that have failed are submitted again."""
    fake_demo.cluster.set(max_array_size=4)
    submits_arrays_of_four(fake_demo)


@pytest.mark.slurm
def test_S25_as_many_submissions_as_a_real_cluster_makes_necessary(real_beta: RealProject) -> None:
    """As the other one: an array of it has four tasks at most."""
    submits_arrays_of_four(real_beta)


def submits_arrays_of_four(demo: SlurmProject) -> None:
    """Run ten equal tasks, of which one has to be run again."""
    again = "test $N != 7 || test -e ../../seen || { touch ../../seen; exit 1; }"
    demo.recipe(step(again, foreach=list(range(10)), env={"N": "${{ item }}"}, retry={"max": 1}))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert len(demo.calls("sbatch")) == 3 + 1
    assert len(demo.jobs()) == 10 + 1
