"""What is heard of jobs ends attempts, and what is not heard ends none; the numbers are those of the design."""

from __future__ import annotations

import os
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.clock import up_sec
from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import RealProject, SlurmProject, fake_project, real_project
from tests.hpc.stack import Centre

STEP = {"name": "relax", "stdout": "free", "run": "echo here >> out.txt", "fetch": {"required": ["out.txt"]}}
WAITING = {**STEP, "run": "echo here >> out.txt; while test ! -e ../go; do sleep 0.1; done"}
# The queue as it is once Slurm has forgotten what has ended.
FORGETS = '"$real" "$@" | grep -E "[|](PENDING|CONFIGURING|RUNNING|COMPLETING)[|]"; exit 0'
# The same, where Slurm forgets some jobs at once, and shows what has ended as running until then.
FORGETS_AT_ONCE = """\
shown=$("$real" "$@" | grep -vE '^({before})[|]')
test "$(printf '%s\\n' "$shown" | grep -c '[|]COMPLETED[|]')" != {count} || exit 0
printf '%s\\n' "$shown" | sed 's/[|]COMPLETED[|]/|RUNNING|/'"""
# When the shell was started that asks, in ticks since the machine was; what asks may come much later.
ASKED_AT = 'read -r _ _ _ _ _ leader _ < /proc/$$/stat; sed "s/.*) //" "/proc/$leader/stat" | cut -d " " -f 20'
SHOWS_NOTHING = '"$real" "$@" > /dev/null'
INTERVAL_SEC = 1.5


def let_go(demo: SlurmProject) -> None:
    """Let the step come to its end."""
    next(demo.root.glob("2*")).joinpath("go").touch()


def forgets_at_once(demo: SlurmProject, count: int) -> None:
    """Have the queue forget so many jobs together; it shows none of those that were there before."""
    before = demo.slurm("squeue", "-h", "-t", "all", "-o", "%A").stdout.split()
    demo.says("squeue", FORGETS_AT_ONCE.format(before="|".join(before or ["none"]), count=count))


def came_to_its_end(demo: SlurmProject) -> None:
    """Check that the step was carried out once, by one attempt and one job."""
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["COMPLETED"]
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"]
    assert len(demo.jobs()) == 1


def test_S7_two_runners_share_one_look_at_the_queue(demo: SlurmProject) -> None:
    """There is at most one in an interval, however many jobs there are; while nothing changes, there are fewer."""
    demo.wire(poll_every=INTERVAL_SEC)
    demo.recipe({**STEP, "foreach": list(range(10))}, {**STEP, "name": "other", "depends_on": []})
    times = demo.shims / "times"
    times.touch()
    times.chmod(0o666)
    demo.says("squeue", f'{ASKED_AT} >> {times}; exec "$real" "$@"')
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runs = [demo.call("init", "demo").stdout.split()[-1] for _ in range(2)]

    runners = [demo.start("resume", run) for run in runs]
    until(lambda: len(demo.jobs()) == 22)
    began = up_sec()
    time.sleep(4.5 * INTERVAL_SEC)
    for runner in runners:
        runner.terminate()
        finish(runner)

    most = (up_sec() - began) / INTERVAL_SEC + 1
    looks = [int(line) / os.sysconf("SC_CLK_TCK") for line in times.read_text().split()]
    assert min(later - earlier for earlier, later in pairwise(looks)) > INTERVAL_SEC * 0.8
    assert 1 <= len([look for look in looks if look > began]) <= most


def test_S8_the_accounting_is_asked_for_what_the_queue_does_not_show(demo: SlurmProject) -> None:
    """For all of it in one call, and for nothing else; an array is asked for by its number."""
    demo.recipe({**STEP, "foreach": [1, 2, 3]})
    forgets_at_once(demo, 3)

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    asked = [call for call in demo.calls("sacct") if "--jobs=" in call]
    assert 1 <= len(asked) <= 3
    assert asked[0].split("--jobs=")[1].split()[0].isdecimal()


def test_S8_the_accounting_is_asked_once_for_all_keys_of_a_login(demo: SlurmProject) -> None:
    """Whoever looks first asks for the jobs of both."""
    two_keys(demo, STEP)

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    (asked,) = demo.calls("sacct")
    first, second = (job.job_id for job in demo.jobs())
    assert f"--jobs={first},{second} " in asked or f"--jobs={second},{first} " in asked


def test_S23_keys_of_a_login_bring_home_their_results_at_the_same_time(demo: SlurmProject) -> None:
    """Neither is in the way of the other."""
    run = "for n in $(seq 400); do echo here > out-$n.txt; done"
    two_keys(demo, {**STEP, "run": run, "fetch": {"required": ["out-*.txt"]}})

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert len([*demo.project.folder.rglob("out-*.txt")]) == 800


def two_keys(demo: SlurmProject, step: dict[str, Any]) -> None:
    """Have a step of each of two keys of one login; the queue forgets the two jobs together."""
    demo.wire(poll_every=2.0)
    wiring = demo.project.folder / "workspaces/demo/operators.yaml"
    wired = yaml.safe_load(wiring.read_text())
    wired["operators"]["hpc.other"] = wired["operators"]["hpc.default"]
    wiring.write_text(yaml.safe_dump(wired))
    demo.recipe(
        *({**step, "name": key, "operator_key": f"hpc.{key}", "parallel": True} for key in ("default", "other"))
    )
    forgets_at_once(demo, 2)


def test_S8_the_accounting_is_left_alone_while_the_queue_tells(demo: SlurmProject) -> None:
    """It is slow, and often down."""
    demo.recipe(STEP)

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert demo.calls("sacct") == []


def test_S8_F34_an_accounting_that_is_down_stops_no_run(demo: SlurmProject) -> None:
    """What the job left tells how it ended; the accounting is then not asked again for a while."""
    demo.accounting("down")
    demo.recipe({**STEP, "foreach": [1, 2]}, {**STEP, "name": "then", "depends_on": ["relax"]})
    demo.says("squeue", FORGETS)

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert len(demo.calls("sacct")) == 1


def test_S8_a_cluster_without_accounting_will_do(tmp_path: Path) -> None:
    """Its queue is all that tells of a job, beside what the job left."""
    with fake_project(tmp_path, accounting="off") as demo:
        runs_without_accounting(demo)


@pytest.mark.slurm
def test_S8_a_real_cluster_without_accounting_will_do(tmp_path: Path, centre: Centre) -> None:
    """As the other one."""
    with real_project(tmp_path, centre, "beta") as demo:
        runs_without_accounting(demo)


def runs_without_accounting(demo: SlurmProject) -> None:
    """Submit a job the second time that is asked for, and forget it once it has ended."""
    demo.recipe(STEP)
    demo.says("squeue", FORGETS)
    text = "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received"
    demo.says("sbatch", f"""test "$(wc -l < "$0.calls")" -gt 1 && exec "$real" "$@"; echo '{text}' >&2; exit 1""")

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert demo.calls("sacct") == []
    came_to_its_end(demo)


@pytest.mark.parametrize(("poll_every", "lasts_sec"), [(60.0, 8), (2.0, 17)], ids=["seldom", "ever less often"])
def test_S8_without_accounting_the_queue_is_seen_before_it_forgets(
    tmp_path: Path, poll_every: float, lasts_sec: int
) -> None:
    """It alone tells of a job that left no record."""
    with fake_project(tmp_path, accounting="off", min_job_age_sec=8.0) as demo:
        is_seen_before_it_is_forgotten(demo, poll_every, lasts_sec)


@pytest.mark.slurm
@pytest.mark.parametrize("poll_every", [60.0, 0.2], ids=["seldom", "ever less often"])
def test_S8_without_accounting_a_real_queue_is_seen_before_it_forgets(
    tmp_path: Path, centre: Centre, poll_every: float
) -> None:
    """As the other one, which forgets after a quarter of a minute."""
    with real_project(tmp_path, centre, "beta") as demo:
        is_seen_before_it_is_forgotten(demo, poll_every, lasts_sec=8)


def is_seen_before_it_is_forgotten(demo: SlurmProject, poll_every: float, lasts_sec: int) -> None:
    """Let a job be killed after a while, with the script that would have left its record."""
    demo.wire(poll_every=poll_every)
    demo.recipe({**STEP, "run": ["sh", "-c", f"sleep {lasts_sec}; kill -9 $PPID; sleep 60"]})

    ended = demo.run()

    assert ended.status == 1
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["FAILED"]


@pytest.mark.slurm
def test_S8_F34_an_accounting_that_hangs_has_its_time(real_demo: RealProject) -> None:
    """Twenty seconds, and then what the job left will do."""
    real_demo.recipe(STEP)
    real_demo.says("squeue", FORGETS)
    real_demo.says("sacct", "sleep 100")

    ended = real_demo.run()

    assert ended.status == 0, ended.stderr
    assert 20 <= ended.seconds < 40
    came_to_its_end(real_demo)


def test_S9_F34_an_id_that_is_invalid_ends_no_attempt(demo: SlurmProject) -> None:
    """It says nothing of the job."""
    goes_on_without_the_queue(demo, "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")


def test_S9_F34_a_queue_that_is_not_told_changes_nothing(demo: SlurmProject) -> None:
    """Whatever becomes of the program that asks."""
    goes_on_without_the_queue(demo, "kill -9 $$")


def goes_on_without_the_queue(demo: SlurmProject, says: str) -> None:
    """Check that the attempt stays what it was, and ends once the queue is told again."""
    demo.recipe(WAITING)
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING"))

    demo.says("squeue", says)
    looks = len(demo.calls("squeue"))
    until(lambda: len(demo.calls("squeue")) > looks)
    let_go(demo)
    until(lambda: len(demo.calls("squeue")) > looks + 2)
    assert demo.is_in("relax", "RUNNING")
    demo.says("squeue")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def test_S9_F34_a_controller_that_hangs_changes_nothing(demo: SlurmProject) -> None:
    """The job goes on and ends meanwhile."""
    goes_on_without_a_controller(demo, "hung", "Socket timed out")


def test_S9_F34_a_controller_that_is_down_changes_nothing(demo: SlurmProject) -> None:
    """As little."""
    goes_on_without_a_controller(demo, "down", "Unable to contact slurm controller")


def goes_on_without_a_controller(demo: SlurmProject, state: str, trouble: str) -> None:
    """Check that the attempt stays what it was, and ends once the controller is back."""
    demo.recipe(WAITING)
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING"))

    demo.controller(state)
    until(lambda: trouble in demo.call("status", "@last").stdout)
    let_go(demo)
    assert demo.is_in("relax", "RUNNING")
    demo.controller("up")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def test_S10_F34_a_job_that_is_not_shown_is_missing_and_not_over(demo: SlurmProject) -> None:
    """An empty queue and an empty accounting say nothing; it is shown as MISSING until somebody knows more."""
    demo.recipe(WAITING)
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING"))

    demo.says("sacct", SHOWS_NOTHING)
    demo.says("squeue", SHOWS_NOTHING)
    until(lambda: demo.is_in("relax", "MISSING"))
    demo.says("squeue")
    until(lambda: demo.is_in("relax", "RUNNING"))
    let_go(demo)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def test_S10_a_job_that_is_missing_for_too_long_is_lost(demo: SlurmProject) -> None:
    """What it left comes home all the same, and the task is attempted again at no cost to its own retries."""
    demo.wire(lost_after=2.0)
    demo.recipe(WAITING)
    demo.says("sacct", SHOWS_NOTHING)
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING") and list(demo.root.rglob("out.txt")))

    (first,) = demo.jobs()
    demo.says("squeue", f'"$real" "$@" | grep -v "^{first.job_id}[|]"; exit 0')
    until(lambda: len(demo.attempts("relax")) > 1)
    let_go(demo)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["LOST", "COMPLETED"]
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"] * 2


def test_S10_the_record_of_a_job_tells_its_end(demo: SlurmProject) -> None:
    """Where neither the queue nor the accounting shows it any more."""
    demo.recipe({**STEP, "run": "echo here >> out.txt; exit 3"})
    demo.says("sacct", SHOWS_NOTHING)
    demo.says("squeue", FORGETS)

    ended = demo.run()

    assert ended.status == 1
    assert [(one["status"], one["exit_code"]) for one in demo.attempts("relax")] == [("FAILED", "3")]


def test_S10_a_job_that_left_the_queue_is_looked_for_soon(demo: SlurmProject) -> None:
    """The second look comes no later than it would where something had changed."""
    demo.recipe(STEP)
    demo.wire(poll_every=INTERVAL_SEC)
    demo.says("squeue", FORGETS)

    assert demo.run().status == 0

    seen = demo.call("status", "@last", "--json").answer["sites"]["hpc.default"]
    looked_at, next_at = (datetime.fromisoformat(seen[name]) for name in ("looked_at", "next_at"))
    assert (next_at - looked_at).total_seconds() == pytest.approx(INTERVAL_SEC, abs=0.1)


def test_S10_a_record_that_is_seen_late_is_waited_for(demo: SlurmProject) -> None:
    """As on NFS: Slurm says that the job has ended before its record is there to be read."""
    demo.wire(grace=30.0)
    demo.recipe(STEP)
    demo.says("mv", 'test "$2" != .ms/.exit || exec /bin/mv "$2" .ms/late; exec /bin/mv "$@"')
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("late")))
    until(lambda: "its record is awaited" in demo.call("explain", "@last").stdout)

    (late,) = demo.root.rglob("late")
    late.rename(late.with_name("exit"))
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def test_S10_a_job_that_completed_without_a_record_is_lost(demo: SlurmProject) -> None:
    """Once its record could have been seen."""
    demo.recipe(STEP)
    demo.says("mv", 'test "$2" != .ms/.exit || test -e "$0.seen" || { touch "$0.seen"; exit 0; }; /bin/mv "$@"')

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    first, last = demo.attempts("relax")
    assert (first["status"], first["reason"]) == ("LOST", "lost: its job left no record of its end")
    assert last["status"] == "COMPLETED"


def test_F35_an_id_that_is_another_jobs_says_nothing(demo: SlurmProject) -> None:
    """Jobs are known by their names: neither the queue nor the accounting ends an attempt by its id alone."""
    demo.recipe(WAITING)
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING"))
    number = demo.attempts("relax")[0]["external_id"]

    times = "2026-01-01T00:00:00|2026-01-01T00:00:00|2026-01-01T00:00:00"
    demo.says("sacct", f"echo '{number}|{number}|another|FAILED|1:0|{times}|1|node1'")
    demo.says("squeue", f"echo '{number}|{number}|N/A|FAILED|NonZeroExitCode|N/A|N/A|node1|another'")
    until(lambda: demo.is_in("relax", "MISSING"))
    looks = len(demo.calls("squeue"))
    until(lambda: len(demo.calls("squeue")) > looks + 2)
    assert demo.is_in("relax", "MISSING")
    demo.says("sacct")
    demo.says("squeue")
    let_go(demo)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)
