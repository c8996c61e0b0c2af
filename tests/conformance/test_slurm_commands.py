"""What is asked of Slurm is answered alike by the one that is not there and by a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.operators.slurm.answers import (
    Submitted,
    read_forecast,
    read_partitions,
    read_queue,
    read_settings,
    read_submitted,
)
from orchestrator.operators.slurm.asking import (
    CONFIGURATION,
    PARTITIONS,
    QUEUE,
    Submission,
    accounting,
    answer,
    cancelling,
    forecast_of,
    submission,
)
from orchestrator.operators.slurm.directives import Demand
from orchestrator.operators.slurm.ends import End, Record, ending, read_record, stuck
from orchestrator.operators.slurm.refusals import Refusal, Verdict, judge_submission
from orchestrator.operators.slurm.script import DUPLICATE, folder_list, job_script, payload
from orchestrator.operators.slurm.states import Phase
from orchestrator.wiring.model import Slurm
from tests.acceptance.program import until
from tests.conformance.sites import Site, fake_site, real_site
from tests.hpc.stack import skip_unless_asked

FAILED = "Batch job submission failed: "
SHAPE = "Requested node configuration is not available"


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slurm)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Give a site of either sort."""
    if request.param == "fake":
        with fake_site(tmp_path) as found:
            yield found
        return
    skip_unless_asked(request.config)
    with real_site(request.getfixturevalue("centre"), tmp_path.name) as found:
        yield found


def asks(*, limit_sec: float, slurm: Slurm | None = None) -> Demand:
    """Give what a job asks for: a core for so many seconds."""
    return Demand(slurm=slurm or Slurm(), resources={"cores": 1}, limit_sec=limit_sec)


def lay(site: Site, name: str, *argv: str, demand: Demand | None = None) -> Path:
    """Put a job where it is submitted from, as the operator does."""
    wanted = demand or asks(limit_sec=600)
    site.put(f"{name}/.ms/payload.sh", payload(argv, {}))
    return site.put(f"{name}/.ms/job.sh", job_script(wanted)).parents[1]


def submit(site: Site, asked: Submission) -> Submitted:
    """Submit a job as the operator does."""
    told = judge_submission(answer(site.run(submission(asked, "mark")), "mark"))
    assert isinstance(told, Submitted), told
    site.numbers.append(told.job_id)
    return told


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_S11_S13_the_signal_comes_before_the_time_limit(site: Site) -> None:  # noqa: N802  statements of the design
    """And a job that goes on is ended by the limit, whatever it leaves."""
    goes_on = "trap 'echo got' USR1; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    folder = lay(site, "attempt", "bash", "-c", goes_on, demand=asks(limit_sec=60))
    before = 30 if site.is_real else 5
    asked = Submission(key="ms-x-limit-1-a", folder=str(folder), signal="USR1", before_sec=before)

    number = submit(site, asked).job_id
    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    assert (folder / "stdout.log").read_text() == "got\n"
    assert (last.state.word, last.reason) == ("TIMEOUT", "TimeLimit")
    assert (kept.state.word, kept.exit_code, kept.signal) == ("TIMEOUT", 0, 0)
    record = read_record((folder / ".ms/exit").read_text())
    assert record is not None
    assert record.exit_code == 0
    assert "USR1" in record.signals
    assert ending(kept.state, record=record).end is End.TIMEOUT
    assert "DUE TO TIME LIMIT" in (folder / ".ms/slurm.log").read_text()
    assert os.path.lexists(folder / "exit_code")


def test_a_job_is_told_from_its_begin_to_its_end(site: Site) -> None:
    """By the queue and by the accounting, under its name."""
    number = site.submit("--job-name=ms-a|b", wrap="while test ! -e go; do sleep 0.1; done")

    (first,) = site.queue(number)
    site.put("go", "")
    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    assert first.state.word in {"PENDING", "RUNNING"}
    assert (last.job_id, last.name, last.state.word, last.reason) == (number, "ms-a|b", "COMPLETED", "")
    assert last.started <= last.ends
    assert last.started.endswith("Z")
    assert (kept.job_id, kept.name, kept.state.word, kept.exit_code, kept.signal) == (
        number,
        "ms-a|b",
        "COMPLETED",
        0,
        0,
    )
    assert kept.nodes == last.nodes
    assert kept.elapsed_sec is not None


@pytest.mark.parametrize(
    ("wrap", "reason", "codes", "end"),
    [
        ("exit 3", "NonZeroExitCode", (3, 0), End.EXITED),
        ("exit 300", "NonZeroExitCode", (44, 0), End.EXITED),
        ("kill -9 $$", "JobLaunchFailure", (0, 9), End.SIGNALLED),
        ("kill -SEGV $$", "JobLaunchFailure", (0, 11), End.SIGNALLED),
    ],
)
def test_S12_jobs_that_fail_tell_how(  # noqa: N802  a statement of the design
    wrap: str, reason: str, codes: tuple[int, int], end: End, site: Site
) -> None:
    """The accounting tells more than the queue."""
    number = site.submit(wrap=wrap)

    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    assert (last.state.word, last.reason) == ("FAILED", reason)
    assert (kept.state.word, kept.exit_code, kept.signal) == ("FAILED", *codes)
    assert ending(kept.state, exit_code=kept.exit_code, signal=kept.signal, reason=last.reason).end is end


def test_S12_a_job_whose_log_cannot_be_written_was_not_launched(site: Site) -> None:  # noqa: N802  a statement
    """It left nothing."""
    number = site.submit("--output=/nonexistent/log")

    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    assert (last.state.word, last.reason) == ("FAILED", "JobLaunchFailure")
    assert (kept.exit_code, kept.signal) == (0, 53)
    assert ending(kept.state, exit_code=0, signal=53).end is End.LAUNCH_FAILED


@pytest.mark.parametrize(
    ("options", "exit_code", "said"),
    [
        (["-p", "nosuch"], 1, ["invalid partition specified: nosuch", f"{FAILED}Invalid partition name specified"]),
        (["-t", "2-0"], 1, [f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)"]),
        (["-N", "99"], 1, [f"{FAILED}More processors requested than permitted"]),
        (["-n", "1000"], 1, [f"{FAILED}More processors requested than permitted"]),
        (["-p", "debug", "-N", "2"], 1, [f"{FAILED}Node count specification invalid"]),
        (["--mem=100G"], 1, ["Memory specification can not be satisfied", f"{FAILED}{SHAPE}"]),
        (["-c", "9"], 1, ["CPU count per node can not be satisfied", f"{FAILED}{SHAPE}"]),
        (["--gres=gpu:3"], 1, [f"{FAILED}{SHAPE}"]),
        (["--gres=bogus:1"], 1, ["Invalid generic resource (gres) specification"]),
        (["-A", "nosuch"], 1, [f"{FAILED}Invalid account or account/partition combination specified"]),
        (["-q", "nosuch"], 1, [f"{FAILED}Invalid qos specification"]),
        (["-w", "nosuch"], 1, [f"{FAILED}Invalid node name specified"]),
        (["-x", "nosuch"], 1, [f"{FAILED}Invalid node name specified"]),
        (["-C", "nosuch"], 1, [f"{FAILED}Invalid feature specification"]),
        (["-L", "nosuch"], 1, [f"{FAILED}Invalid license specification"]),
        (["--reservation=nosuch"], 1, [f"{FAILED}Requested reservation is invalid"]),
        (["-d", "bogus"], 1, [f"{FAILED}Job dependency problem"]),
        (["--array=0-5000"], 1, [f"{FAILED}Invalid job array specification"]),
        (["--array=5-1"], 1, [f"{FAILED}Invalid job array specification"]),
        (["-t", "bogus"], 255, ["Invalid --time specification"]),
        (["--mem=bogus"], 255, ["Invalid --mem specification"]),
    ],
)
def test_S4_what_is_refused_is_refused_in_the_same_words(  # noqa: N802  a statement of the design
    options: list[str], exit_code: int, said: list[str], site: Site
) -> None:
    """And for ever."""
    told = site.ask("sbatch", "--parsable", *options, "--wrap=true")

    assert (told.exit_code, told.stdout) == (exit_code, "")
    assert told.stderr.splitlines() == [f"sbatch: error: {text}" for text in said]
    refusal = judge_submission(told)
    assert isinstance(refusal, Refusal)
    assert refusal.verdict is Verdict.REJECTED


def test_an_option_that_nobody_knows_is_refused(site: Site) -> None:
    """In the command, or in the script."""
    site.put("job.sh", "#!/bin/sh\n#SBATCH --bogus\ntrue\n")

    for told in (site.ask("sbatch", "--bogus", "--wrap=true"), site.ask("sbatch", "job.sh")):
        assert told.exit_code == 255
        assert told.stderr.splitlines() == [
            "sbatch: unrecognized option '--bogus'",
            'Try "sbatch --help" for more information',
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "sbatch: error: Unable to open file job.sh"),
        ("", "sbatch: error: Batch script is empty!"),
        ("true\n", "sbatch: error: This does not look like a batch script.  The first"),
        ("#!/bin/sh\r\ntrue\r\n", "sbatch: error: Batch script contains DOS line breaks (\\r\\n)"),
    ],
)
def test_a_script_that_is_none_is_refused(text: str | None, said: str, site: Site) -> None:
    """Before the cluster hears of it."""
    if text is not None:
        (site.put("job.sh", "x")).write_bytes(text.encode())

    told = site.ask("sbatch", "job.sh")

    assert told.exit_code == 1
    assert told.stderr.splitlines()[0] == said


def test_S15_a_forecast_submits_nothing(site: Site) -> None:  # noqa: N802  a statement of the design
    """It tells when and where, or why not."""
    site.put("good.sh", "#!/bin/sh\n#SBATCH --cpus-per-task=2\ntrue\n")
    site.put("bad.sh", "#!/bin/sh\n#SBATCH --cpus-per-task=9\ntrue\n")
    before = _numbers(site)

    good, bad = site.ask(*forecast_of("good.sh")), site.ask(*forecast_of("bad.sh"))

    could, could_not = read_forecast(good.stderr), read_forecast(bad.stderr)
    assert could is not None
    assert could_not is not None
    assert (good.exit_code, could.partition, could.refusal) == (0, "batch", "")
    assert could.starts
    assert (bad.exit_code, could_not.refusal) == (1, SHAPE)
    assert _numbers(site) <= before  # those that Slurm forgets meanwhile are of others


def _numbers(site: Site) -> set[str]:
    return {row.job_id for row in read_queue(site.ask(*QUEUE).stdout)}


def test_the_tasks_of_an_array_have_numbers(site: Site) -> None:
    """By which they are told and cancelled; their raw ids are others."""
    number = site.submit("--array=0-3", wrap='test "$SLURM_ARRAY_TASK_ID" -lt 2 || sleep 60')

    site.awaited(
        lambda: site.queue(number), lambda rows: [row.state.word for row in rows[2:]] == ["RUNNING", "RUNNING"]
    )
    assert site.ask(*cancelling([f"{number}_2", f"{number}_3"])).exit_code == 0
    rows = site.ended(number, tasks=4)
    kept = site.awaited(lambda: site.accounted(number), lambda found: len(found) == 4)

    assert [row.job_id for row in rows] == [f"{number}_{index}" for index in range(4)]
    assert [row.state.word for row in rows] == ["COMPLETED", "COMPLETED", "CANCELLED", "CANCELLED"]
    assert len({row.raw_id for row in rows}) == 4
    assert rows[3].raw_id == number
    assert {row.job_id for row in kept} == {row.job_id for row in rows}


def test_S11_S14_a_job_that_is_cancelled_tells_by_whom(site: Site) -> None:  # noqa: N802  statements of the design
    """Its exit code is 0:0."""
    number = site.submit(wrap="sleep 60")
    site.awaited(lambda: site.queue(number), lambda rows: rows[0].state.word == "RUNNING")

    assert site.ask("scancel", number).exit_code == 0
    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    uid = int(site.run("id -u"))
    assert last.state.word == "CANCELLED"
    assert (kept.state.word, kept.state.by, kept.exit_code, kept.signal) == ("CANCELLED", uid, 0, 0)


def test_S13_a_signal_reaches_the_script_where_that_is_asked(site: Site) -> None:  # noqa: N802  a statement
    """Otherwise the steps of the job alone, of which it has none; it goes on."""
    waits = "while :; do sleep 0.1; done"
    number = site.submit(wrap=f"trap 'exit 4' USR1; trap 'echo > other' USR2; echo > begun; {waits}")
    until((site.folder / "begun").exists)

    assert site.ask("scancel", "--signal=USR2", number).exit_code == 0
    assert site.ask("scancel", "--batch", "--signal=USR1", number).exit_code == 0
    (last,) = site.ended(number)
    (kept,) = site.accounted(number)

    assert (last.state.word, kept.exit_code, kept.signal) == ("FAILED", 4, 0)
    assert not (site.folder / "other").exists()


def test_S14_scancel_says_nothing_of_what_it_cannot_find(site: Site) -> None:  # noqa: N802  a statement
    """What is no id at all is an error."""
    number = site.submit()
    site.ended(number)

    for words in ((number,), ("999999",), ("999999_3",)):
        told = site.ask("scancel", *words)
        assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")
    assert site.ask("scancel", "abc").stderr == "scancel: error: Invalid job id abc"
    assert site.ask("scancel").stderr == "scancel: error: No job identification provided"


def test_S9_one_unknown_id_is_an_error_and_two_are_not(site: Site) -> None:  # noqa: N802  a statement of the design
    """So that queues are never asked by id."""
    number = site.submit()
    site.ended(number)

    ended, unknown = site.ask("squeue", "-h", "-j", number), site.ask("squeue", "-h", "-j", "999999")
    both, bad = site.ask("squeue", "-h", "-j", "999999,999998"), site.ask("squeue", "-h", "-j", "abc")

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert (unknown.exit_code, unknown.stderr) == (1, "slurm_load_jobs error: Invalid job id specified")
    assert (both.exit_code, both.stdout) == (0, "")
    assert (bad.exit_code, bad.stderr) == (1, "squeue: error: Invalid job id: abc")


def test_the_accounting_leaves_out_what_it_does_not_know(site: Site) -> None:
    """What is no id, or no field, is an error."""
    unknown, bad = site.ask(*accounting(ids=["999999"])), site.ask(*accounting(ids=["abc"]))
    odd = site.ask("sacct", "-X", "-n", "-P", "-o", "Nosuch")

    assert (unknown.exit_code, unknown.stdout) == (0, "")
    assert (bad.exit_code, bad.stderr) == (1, "sacct: fatal: Bad job/step specified: abc")
    assert (odd.exit_code, odd.stderr) == (1, 'sacct: error: Invalid field requested: "Nosuch"')


def test_a_job_is_found_by_its_name(site: Site) -> None:
    """In the queue, and in the accounting since a time."""
    number = site.submit("--job-name=ms-found")
    site.ended(number)
    site.accounted(number)

    queued = read_queue(site.ask(*QUEUE, "--name=ms-found").stdout)
    kept = site.ask(*accounting(name="ms-found", since="2020-01-01T00:00")).stdout

    assert number in {row.job_id for row in queued}
    assert any(line.startswith(f"{number}|") for line in kept.splitlines())
    assert site.ask(*QUEUE, "--name=ms-nowhere").stdout == ""


def test_S15_a_job_that_is_held_waits_until_it_is_released(site: Site) -> None:  # noqa: N802  a statement
    """The fix can be typed."""
    number = site.submit("--hold")

    (row,) = site.awaited(lambda: site.queue(number), lambda rows: rows[0].reason == "JobHeldUser")
    assert row.state.phase is Phase.WAITING
    found = stuck(row.reason, row.job_id)
    assert found is not None

    assert site.ask(*found.fix.partition(",")[0].split()).exit_code == 0
    (row,) = site.ended(number)
    assert row.state.word == "COMPLETED"


def test_a_cluster_and_its_partitions_are_told(site: Site) -> None:
    """What plans are held against."""
    settings = read_settings(site.ask(*CONFIGURATION).stdout)
    partitions = {row.name: row for row in read_partitions(site.ask(*PARTITIONS).stdout)}

    assert settings.version
    assert settings.cluster
    assert settings.min_job_age_sec
    assert (settings.max_array_size, settings.message_timeout_sec, settings.max_jobs) == (1001, 10.0, 10_000)
    assert (settings.enforces_limits, settings.has_accounting, len(settings.hosts)) == (True, True, 1)
    batch, debug = partitions["batch"], partitions["debug"]
    assert (batch.is_up, batch.limit_sec, batch.nodes, batch.cores) == (True, 86_400.0, 4, 8)
    assert (batch.memory_mb, batch.gres) == (8000, "gpu:2")
    assert (debug.limit_sec, debug.nodes) == (60.0, 1)


def test_S27_settings_of_the_user_change_nothing(site: Site) -> None:  # noqa: N802  a statement of the design
    """Neither what is asked for, nor how times are told."""
    env = {
        "SBATCH_PARTITION": "nosuch",
        "SQUEUE_FORMAT": "%i",
        "SQUEUE_STATES": "RUNNING",
        "SACCT_FORMAT": "JobID",
        "SLURM_TIME_FORMAT": "%s",
        "TZ": "Asia/Tokyo",
    }
    told = site.ask("sbatch", "--parsable", "--wrap=true", **env)
    submitted = read_submitted(told.stdout)
    assert submitted is not None, told.stderr
    (row,) = site.ended(submitted.job_id)

    same = read_queue(site.ask(*QUEUE, **env).stdout)

    assert row in same


def test_a_job_of_the_operator_leaves_all_that_is_asked_of_it(site: Site) -> None:
    """And is submitted once, however often that is asked for."""
    folder = lay(site, "attempt", "sh", "-c", 'echo "on $SLURMD_NODENAME"; echo err >&2; exit 4')
    asked = Submission(key="ms-x-relax-1-a", folder=str(folder))

    numbers = {submit(site, asked).job_id for _ in range(3)}
    (number,) = numbers
    (last,) = site.ended(number)

    assert (last.name, last.state.word, last.reason) == ("ms-x-relax-1-a", "FAILED", "NonZeroExitCode")
    assert (folder / "stdout.log").read_text() == f"on {last.nodes}\n"
    assert (folder / "stderr.log").read_text() == "err\n"
    assert (folder / "exit_code").read_text() == "4\n"
    assert read_record((folder / ".ms/exit").read_text()) == Record(job_id=number, restart=0, exit_code=4)


def test_S6_two_jobs_of_one_attempt_run_it_once(site: Site) -> None:  # noqa: N802  a statement of the design
    """The second ends at once."""
    folder = lay(site, "attempt", "sh", "-c", "echo one >> times; sleep 1")
    asked = Submission(key="ms-x-twice-1-a", folder=str(folder))
    first = submit(site, asked).job_id
    (folder / ".ms/job").unlink()
    second = submit(site, asked).job_id

    site.ended(first)
    site.ended(second)
    codes = {row.job_id: row.exit_code for number in (first, second) for row in site.accounted(number)}

    assert (folder / "times").read_text() == "one\n"
    assert sorted(codes.values()) == [0, DUPLICATE]
    record = read_record((folder / ".ms/exit").read_text())
    assert record is not None
    assert codes[record.job_id] == 0


def test_S25_an_array_of_the_operator_runs_each_attempt_in_its_directory(site: Site) -> None:  # noqa: N802  a statement
    """Each leaves what a job of its own would."""
    folders = [
        lay(site, name, "sh", "-c", f"echo {name!r}; exit {index}") for index, name in enumerate(("a", "b b", "c"))
    ]
    site.put("array/.ms/folders", folder_list([str(folder) for folder in folders]))
    job = site.put("array/.ms/job.sh", job_script(asks(limit_sec=600), is_array=True)).parents[1]

    number = submit(site, Submission(key="ms-x-array-1-a", folder=str(job), tasks=range(3))).job_id
    rows = site.ended(number, tasks=3)

    assert [row.job_id for row in rows] == [f"{number}_{index}" for index in range(3)]
    for index, folder in enumerate(folders):
        assert (folder / "stdout.log").read_text() == f"{folder.name}\n"
        record = read_record((folder / ".ms/exit").read_text())
        assert record == Record(job_id=f"{number}_{index}", restart=0, exit_code=index)


def test_S12_a_node_is_avoided_where_another_one_will_do(site: Site) -> None:  # noqa: N802  a statement of the design
    """The only node of a partition is used all the same."""

    def node_of(name: str, partition: str, avoid: str) -> str:
        folder = lay(site, name, "true", demand=asks(limit_sec=60, slurm=Slurm(partition=partition)))
        number = submit(site, Submission(key=f"ms-x-{name}-1-a", folder=str(folder), avoid=avoid)).job_id
        (last,) = site.ended(number)
        return last.nodes

    first = node_of("first", "debug", "")

    assert node_of("second", "batch", first) != first
    assert node_of("third", "debug", first) == first
    assert node_of("fourth", "batch", "a-node-that-is-gone")


def test_a_job_that_slurm_begins_again_goes_on_with_its_attempt(site: Site) -> None:
    """Under the same id, with another count."""
    folder = lay(site, "attempt", "sh", "-c", 'test -n "$SLURM_RESTART_COUNT" || sleep 60; echo "$SLURM_RESTART_COUNT"')
    number = site.submit("--requeue", f"--chdir={folder}", script=folder / ".ms/job.sh")
    site.awaited(lambda: site.queue(number), lambda rows: rows[0].state.word == "RUNNING" and _has_begun(folder))

    assert site.ask("scontrol", "requeue", number).exit_code == 0
    (last,) = site.ended(number)
    kept = site.awaited(
        lambda: site.account(number), lambda rows: [row.state.word for row in rows][-1:] == ["COMPLETED"]
    )

    assert last.state.word == "COMPLETED"
    assert (folder / "stdout.log").read_text() == "1\n"
    assert read_record((folder / ".ms/exit").read_text()) == Record(job_id=number, restart=1, exit_code=0)
    assert [row.state.word for row in kept] == ["REQUEUED", "COMPLETED"]


def _has_begun(folder: Path) -> bool:
    return (folder / "stdout.log").exists()
