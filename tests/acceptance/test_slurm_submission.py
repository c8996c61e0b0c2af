"""A job is submitted once, whatever becomes of the answer; the numbers are those of the design."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import RealProject, SlurmProject

STEP = {"name": "relax", "stdout": "free", "run": "echo here >> out.txt", "fetch": {"required": ["out.txt"]}}
TIMED_OUT = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"


def came_to_its_end(demo: SlurmProject, *, jobs: int = 1) -> None:
    """Check that the step was carried out once, by one attempt, and that no job is left."""
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["COMPLETED"]
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"]
    assert len(demo.jobs()) == jobs
    assert not any(job.is_active for job in demo.jobs())


def events(demo: SlurmProject) -> str:
    """Give what the run recorded, as text."""
    with closing(sqlite3.connect(demo.project.run_folders()[-1] / "state.sqlite")) as database:
        rows = [row for table in ("task_attempts", "events") for row in database.execute(f"SELECT * FROM {table}")]  # noqa: S608  ours
    return "\n".join(str(row) for row in rows)


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_S1_F3_a_runner_that_is_killed_leaves_one_job(demo: SlurmProject, is_done: bool) -> None:
    """Before and after the submission; what runs on the cluster goes on meanwhile."""
    survives_a_kill(demo, "sbatch", is_done=is_done)


@pytest.mark.parametrize("program", ["scontrol", "squeue"])
def test_S1_F3_a_runner_that_is_killed_while_it_asks_leaves_one_job(demo: SlurmProject, program: str) -> None:
    """Before there is a job, and while there is one."""
    survives_a_kill(demo, program, is_done=True)


def survives_a_kill(demo: SlurmProject, program: str, *, is_done: bool) -> None:
    """Kill the runner as it waits for a program, and let the next one go on while that still waits."""
    demo.recipe(STEP)
    demo.holds(program, is_done=is_done)
    first = demo.start("run", "demo")
    until(lambda: demo.calls(program))
    first.kill()
    finish(first)

    asks = "squeue" if program == "sbatch" else program
    looks = len(demo.calls(asks))
    second = demo.start("run", "demo")
    until(lambda: len(demo.calls(asks)) > looks)
    time.sleep(1.5)
    demo.let_go(program)
    ended = finish(second)

    assert ended.status == 0, ended.stderr
    assert len(demo.calls("sbatch")) == 1
    came_to_its_end(demo)


def test_S2_F31_a_controller_that_hangs_has_taken_the_job(demo: SlurmProject) -> None:
    """The answer is lost, nobody knows for a while, and then that job is the attempt's."""
    demo.recipe(STEP)
    demo.holds("sbatch", is_done=False)
    runner = demo.start("run", "demo")
    until(lambda: demo.calls("sbatch"))

    demo.controller("hung")
    demo.let_go("sbatch")
    until(lambda: demo.is_in("relax", "UNKNOWN"))
    demo.controller("up")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)
    assert demo.attempts("relax")[0]["external_id"] == demo.jobs()[0].job_id


@pytest.mark.slurm
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_S3_F30_a_connection_that_is_cut_loses_no_job(real_demo: RealProject, is_done: bool) -> None:
    """Whether Slurm had the job at that moment, or got it later."""
    real_demo.recipe(STEP)
    real_demo.holds("sbatch", is_done=is_done)
    runner = real_demo.start("run", "demo")
    until(lambda: real_demo.calls("sbatch") and len(real_demo.jobs()) == is_done)

    real_demo.proxy.cut()
    until(lambda: real_demo.is_in("relax", "UNKNOWN"))
    real_demo.let_go("sbatch")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert len(real_demo.calls("sbatch")) == 1
    came_to_its_end(real_demo)


def test_S3_an_answer_that_is_lost_with_its_shell_loses_no_job(demo: SlurmProject) -> None:
    """What ran there is killed after the submission, with all that it would have printed."""
    demo.recipe(STEP)
    demo.says("sbatch", '"$real" "$@"; read -r _ _ _ _ group _ < /proc/$$/stat; kill -9 -- "-$group"')

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def test_S3_no_retry_encloses_a_submission() -> None:
    """There is one place that sends, and no library that repeats."""
    sources = {path: path.read_text() for path in (Path(__file__).parents[2] / "orchestrator").rglob("*.py")}

    sending = [path.name for path, text in sources.items() if re.search(r"\bsubmissions?\(", text)]
    assert sorted(sending) == ["asking.py", "submitting.py"]
    repeating = re.compile(r"^\s*(import|from) (tenacity|backoff|retrying|stamina)\b", re.MULTILINE)
    assert [str(path) for path, text in sources.items() if repeating.search(text)] == []


@pytest.mark.slurm
def test_F29_a_connection_that_is_cut_before_is_no_trouble(real_demo: RealProject) -> None:
    """Nothing was sent: the attempt waits, and is submitted once the site can be reached."""
    real_demo.recipe(STEP)
    real_demo.proxy.refuse()
    runner = real_demo.start("run", "demo")
    until(lambda: real_demo.is_in("relax", "SUBMITTING"))

    real_demo.proxy.resume()
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert len(real_demo.calls("sbatch")) == 1
    came_to_its_end(real_demo)


def test_S4_a_bad_partition_is_refused_in_the_words_of_slurm(demo: SlurmProject) -> None:
    """Once, and by the attempt: there is nothing to try again."""
    demo.wire(slurm={"partition": "nowhere"})
    demo.recipe(STEP)

    ended = demo.run()

    assert ended.status == 1
    assert "Invalid partition name specified" in ended.stderr
    assert "name a partition that 'sinfo' lists" in ended.stderr
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["FAILED_INIT"]
    assert len(demo.calls("sbatch")) == 1
    assert demo.jobs() == []


def test_S4_what_is_refused_for_good_is_not_tried_again(demo: SlurmProject) -> None:
    """Though the step has retries, which may ask for more of something else."""
    demo.wire(slurm={"partition": "nowhere"})
    demo.recipe({**STEP, "retry": {"max": 2, "grow": {"time_limit": "2x"}}, "resources": {"time_limit": "1m"}})

    ended = demo.run()

    assert ended.status == 1
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["FAILED_INIT"]
    assert len(demo.calls("sbatch")) == 1


def test_S4_what_grows_until_it_is_not_refused_is_tried_again(demo: SlurmProject) -> None:
    """As the step's retries say."""
    says = "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)"
    counted = 'test "$(wc -l < "$0.calls")" -gt 2'
    demo.recipe({**STEP, "retry": {"max": 2, "grow": {"time_limit": "2x"}}, "resources": {"time_limit": "1m"}})
    demo.says("sbatch", f'{counted} && exec "$real" "$@"; echo \'{says}\' >&2; exit 1')

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    states = [attempt["status"] for attempt in demo.attempts("relax")]
    assert states == ["FAILED_INIT", "FAILED_INIT", "COMPLETED"]


def test_S4_a_limit_on_all_jobs_together_is_waited_for(demo: SlurmProject) -> None:
    """Less and less often; the attempt is not failed by it, and it is recorded once."""
    demo.recipe(STEP)
    times = demo.shims / "times"
    demo.says("sbatch", f'date +%s.%N >> {times}; exec "$real" "$@"')
    with demo.without_jobs():
        runner = demo.start("run", "demo")
        until(lambda: len(demo.calls("sbatch")) > 4)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert events(demo).count("AssocMaxSubmitJobLimit") == 1
    came_to_its_end(demo)
    fourth, fifth = [float(line) for line in times.read_text().split()][3:5]
    assert fifth - fourth >= 8 * demo.operator()["backend"]["poll_every"]


def test_S5_F32_a_job_that_is_proved_absent_is_submitted_again(demo: SlurmProject) -> None:
    """Not before two looks that are a grace apart have found none; each time anew, and by the same attempt and name."""
    demo.recipe(STEP)
    times = demo.shims / "times"
    times.touch()
    times.chmod(0o666)
    counted = f'date +%s.%N >> {times}; test "$(wc -l < "$0.calls")" -gt 2 && exec "$real" "$@"'
    demo.says("sbatch", f"{counted}; {TIMED_OUT}")

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)
    first, second, third = (float(line) for line in times.read_text().split())
    assert second - first >= 1.0
    assert third - second >= 1.0


def test_S5_nothing_is_proved_while_who_knows_is_silent(demo: SlurmProject) -> None:
    """A queue or an accounting that cannot be asked says nothing of a job."""
    demo.recipe(STEP)
    demo.says("sbatch", TIMED_OUT)
    demo.says("sacct", "echo 'sacct: error: slurm_persist_conn_open_without_init: failed' >&2; exit 1")
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "UNKNOWN"))
    until(lambda: "for the accounting to say, which does not answer" in demo.call("status", "@last").stdout)

    time.sleep(3.0)
    assert len(demo.calls("sbatch")) == 1
    demo.says("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    demo.says("sacct")
    time.sleep(3.0)
    assert len(demo.calls("sbatch")) == 1
    demo.says("sbatch")
    demo.says("squeue")
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)


def key_of(demo: SlurmProject) -> str:
    """Give the name of the last job that was submitted by the program."""
    return next(word for word in demo.calls("sbatch")[-1].split() if word.startswith("--job-name=")).partition("=")[2]


def double_of(demo: SlurmProject, *options: str) -> str:
    """Submit the job of the attempt by hand once more."""
    folder = next(demo.root.glob("*/*/.ms/job.sh")).parents[1]
    words = ("--parsable", f"--job-name={key_of(demo)}", "--no-requeue", "--output=.ms/slurm.log", *options)
    submitted = demo.slurm("sbatch", *words, ".ms/job.sh", folder=folder)
    assert submitted.returncode == 0, submitted.stderr
    return submitted.stdout.strip()


def test_S6_of_two_jobs_with_one_name_the_first_is_kept(demo: SlurmProject) -> None:
    """While the answer of the first is awaited, there is a second one, which waits: it is cancelled."""
    demo.recipe(STEP)
    demo.says("sbatch", f'"$real" --hold "$@"; {TIMED_OUT}')
    demo.holds("squeue", is_done=False)
    runner = demo.start("run", "demo")
    until(lambda: demo.calls("squeue"))

    double_of(demo, "--hold")
    demo.let_go("squeue")
    until(lambda: any(job.state.startswith("CANCELLED") for job in demo.jobs()))
    first = min(demo.jobs(), key=lambda job: int(job.job_id))
    demo.slurm("scontrol", "release", first.job_id)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo, jobs=2)
    assert demo.attempts("relax")[0]["external_id"] == first.job_id
    assert "several jobs of its name" in events(demo)


@pytest.mark.parametrize("is_array", [False, True], ids=["single", "array"])
def test_S6_a_double_that_comes_later_ends_no_attempt(demo: SlurmProject, is_array: bool) -> None:
    """It finds the directory claimed, touches nothing, and its end is not the attempt's."""
    more = {"foreach": [1, 2]} if is_array else {}
    demo.recipe({**STEP, **more, "run": "echo here >> out.txt; while test ! -e ../go; do sleep 0.1; done"})
    runner = demo.start("run", "demo")
    until(lambda: len(list(demo.root.rglob("out.txt"))) == (2 if is_array else 1))

    if is_array:
        folder = next(demo.root.glob("*/jobs/*"))
        words = ("--parsable", f"--job-name={key_of(demo)}", "--array=0-1", "--output=.ms/slurm-%a.log", ".ms/job.sh")
        double = demo.slurm("sbatch", *words, folder=folder).stdout.strip()
    else:
        double = double_of(demo)
    until(lambda: not any(job.job_id.startswith(double) and job.is_active for job in demo.jobs()))
    time.sleep(1.0)
    assert runner.poll() is None
    next(demo.root.glob("2*")).joinpath("go").touch()
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    found = [path.read_text() for path in demo.project.folder.rglob("out.txt")]
    assert found == ["here\n"] * (2 if is_array else 1)


def test_S6_a_double_goes_with_the_job_of_an_attempt_that_is_cancelled(demo: SlurmProject) -> None:
    """Neither has begun, so that either would carry the attempt out; it has ended once both have."""
    demo.recipe(STEP)
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "QUEUED"))
    double_of(demo, "--hold")

    demo.call("cancel", "@last")
    finish(runner)

    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["CANCELLED"]
    assert [job.state for job in demo.jobs()] == ["CANCELLED", "CANCELLED"]


def test_S6_a_double_that_has_begun_first_carries_the_attempt_out(demo: SlurmProject) -> None:
    """The job that the attempt had waits, finds the directory claimed once it runs, and the other one is followed."""
    demo.recipe({**STEP, "run": "echo here >> out.txt; sleep 2"})
    demo.says("sbatch", 'exec "$real" --hold "$@"')
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "QUEUED"))

    double = double_of(demo)
    until(lambda: list(demo.root.rglob("out.txt")))
    demo.slurm("scontrol", "release", demo.attempts("relax")[0]["external_id"])
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"]
    assert demo.attempts("relax")[0]["external_id"] == double


SAID: dict[str, Any] = {
    "warnings": 'echo "sbatch: warning: not today" >&2; echo "Welcome to 1 of 7 clusters"; exec "$real" "$@"',
    "cluster": 'echo "$("$real" "$@");alpha"',
    "nothing": '"$real" "$@" > /dev/null',
    "garbage": '"$real" "$@" > /dev/null; head -c 300 /dev/urandom',
    "command": 'echo "$("$real" "$@"); touch x"',
    "negative": 'echo "-$("$real" "$@")"',
    "failed": '"$real" "$@"; echo "sbatch: error: the site does not like it" >&2; exit 1',
    "long": '"$real" "$@" > /dev/null; head -c 10000 /dev/zero | tr "\\0" 7; echo',
    "two": '"$real" "$@"; echo 99456',
}


@pytest.mark.parametrize("said", SAID)
def test_F33_D4_only_an_id_is_an_id(demo: SlurmProject, said: str) -> None:
    """What else is printed is left out; where there is none, or a wrong one, the job is found by its name."""
    demo.recipe({**STEP, "run": "echo here >> out.txt; sleep 1"})
    demo.says("sbatch", SAID[said])

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    came_to_its_end(demo)
    assert [job.state for job in demo.jobs()] == ["COMPLETED"]
    assert list(demo.root.rglob("x")) == []


def test_S4_an_array_that_is_larger_than_all_that_a_user_may_have_comes_in_parts(demo: SlurmProject) -> None:
    """As a whole it would be refused for ever."""
    demo.wire(keep={"files": "none"})
    demo.recipe({**STEP, "foreach": [1, 2, 3, 4, 5]})
    says = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates"
    limited = f"case $* in *--array=0-[2-9]*) echo '{says} accounting/QOS policy' >&2; exit 1 ;; esac"
    demo.says("sbatch", f'{limited}; exec "$real" "$@"')

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"] * 5
    assert len(demo.jobs()) == 5
    assert [path for path in demo.root.iterdir() if path.is_dir()] == []
