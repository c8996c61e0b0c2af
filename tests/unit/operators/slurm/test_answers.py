"""What Slurm's programs print is read, whatever else stands there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.operators.slurm.answers import (
    AccountRow,
    Forecast,
    PartitionRow,
    QueueRow,
    Settings,
    Submitted,
    read_accounting,
    read_duration,
    read_forecast,
    read_partitions,
    read_queue,
    read_settings,
    read_submitted,
)
from orchestrator.operators.slurm.directives import duration_text
from orchestrator.operators.slurm.states import Phase, read_state

CONFIGURATION = """\
Configuration data as of 2026-11-20T12:00:00
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = alpha
EnforcePartLimits       = ALL
KillWait                = 2 sec
MaxArraySize            = 1001
MaxJobCount             = 10000
MessageTimeout          = 10 sec
MinJobAge               = 15 sec
SLURM_VERSION           = 22.05.8
SlurmctldHost[0]        = localhost(127.0.0.1)
SlurmctldHost[1]        = spare

Slurmctld(primary) at localhost is UP
"""


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ("1\n", Submitted(job_id="1")),
        ("1;beta\n", Submitted(job_id="1", cluster="beta")),
        ("BANNER\n7\n", Submitted(job_id="7")),
        ("3\n7\n", Submitted(job_id="7")),
        ("7\r\nBYE\n", Submitted(job_id="7")),
        ("", None),
        ("Submitted batch job 3\n", None),
        ("123; touch x\n", None),
        ("-1\n", None),
        ("12 34\n", None),
    ],
)
def test_F33_D4_a_job_id_is_digits(stdout: str, expected: Submitted | None) -> None:  # noqa: N802  rows of the faults
    """In the last line that is one."""
    assert read_submitted(stdout) == expected


def test_the_queue_tells_each_task_of_an_array() -> None:
    """Tasks that wait share a number; the name may hold the separator."""
    rows = read_queue(
        "WELCOME|to|alpha\n"
        "1|1|N/A|RUNNING|None|2026-11-28T06:29:01|2026-11-28T06:39:01|alpha1|a\n"
        "2|2|0|PENDING|None|N/A|N/A||arr\n"
        "6|2|1|FAILED|NonZeroExitCode|2026-11-28T06:29:01|2026-11-28T06:29:02|alpha1|x|y\n"
        "9|9|N/A|PENDING|ReqNodeNotAvail, UnavailableNodes:alpha1|N/A|N/A||b\n"
        "torn|9"
    )

    running = QueueRow(
        raw_id="1",
        array_id="1",
        index=None,
        state=read_state("RUNNING"),
        reason="",
        started="2026-11-28T06:29:01Z",
        ends="2026-11-28T06:39:01Z",
        nodes="alpha1",
        name="a",
    )
    assert rows[0] == running
    assert [row.job_id for row in rows] == ["1", "2_0", "2_1", "9"]
    assert (rows[1].raw_id, rows[1].started, rows[1].nodes) == ("2", "", "")
    assert (rows[2].name, rows[2].state.phase) == ("x|y", Phase.ENDED)
    assert rows[3].reason == "ReqNodeNotAvail, UnavailableNodes:alpha1"


def test_the_accounting_tells_how_each_run_ended() -> None:
    """The first rows of a job have another name; a name may hold the separator."""
    rows = read_accounting(
        "BANNER\n"
        "9|9|allocation|PENDING|0:0|2026-11-28T06:29:00|Unknown|Unknown|0|None assigned\n"
        "2_1|6|x|y||FAILED|3:0|2026-11-28T06:29:00|2026-11-28T06:29:01|2026-11-28T06:29:02|1|alpha1\n"
        "4|4|b|CANCELLED by 1002|0:15|2026-11-28T06:29:00|2026-11-28T06:29:01|2026-11-28T06:29:02|1|alpha[1-2]\n"
        "4|4\n"
    )

    failed = AccountRow(
        job_id="2_1",
        raw_id="6",
        name="x|y|",
        state=read_state("FAILED"),
        exit_code=3,
        signal=0,
        submitted="2026-11-28T06:29:00Z",
        started="2026-11-28T06:29:01Z",
        ended="2026-11-28T06:29:02Z",
        elapsed_sec=1.0,
        nodes="alpha1",
    )
    assert rows[1] == failed
    assert (rows[0].name, rows[0].started, rows[0].nodes) == ("allocation", "", "")
    assert (rows[2].state.word, rows[2].state.by, rows[2].signal) == ("CANCELLED", 1002, 15)
    assert len(rows) == 3


@given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])))
def test_D3_a_name_changes_nothing_else(name: str) -> None:  # noqa: N802  a row of the faults
    """Whatever somebody called a job."""
    (queued,) = read_queue(f"1|1|N/A|RUNNING|None|N/A|N/A|alpha1|{name}\n")
    (ended,) = read_accounting(f"1|1|{name}|FAILED|3:0|N/A|N/A|N/A|5|alpha1\n")

    assert (queued.name, queued.nodes) == (name, "alpha1")
    assert (ended.name, ended.exit_code, ended.elapsed_sec, ended.nodes) == (name, 3, 5.0, "alpha1")


def test_a_cluster_tells_how_it_is_set_up() -> None:
    """Names that come several times are all kept."""
    assert read_settings(CONFIGURATION) == Settings(
        cluster="alpha",
        version="22.05.8",
        hosts=("localhost(127.0.0.1)", "spare"),
        min_job_age_sec=15.0,
        message_timeout_sec=10.0,
        kill_wait_sec=2.0,
        max_array_size=1001,
        max_jobs=10000,
        enforces_limits=True,
        has_accounting=True,
    )
    assert read_settings("EnforcePartLimits = NO\nAccountingStorageType = (null)\n") == Settings()


def test_partitions_tell_what_they_have() -> None:
    """One row for each size of nodes; more than a size is told by a plus."""
    rows = read_partitions(
        "batch|up|1-00:00:00|1-infinite|4|8|8000|gpu:2\nlong|down|infinite|1|2|16+|64000+|(null)\nx|y\n"
    )

    assert rows[0] == PartitionRow(
        name="batch",
        is_up=True,
        limit_sec=86_400.0,
        job_nodes="1-infinite",
        nodes=4,
        cores=8,
        memory_mb=8000,
        gres="gpu:2",
    )
    assert (rows[1].is_up, rows[1].limit_sec, rows[1].cores, rows[1].gres) == (False, None, 16, "")
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            "sbatch: Job 1 to start at 2026-11-20T13:08:27 using 2 processors on nodes alpha[1-2] in partition batch\n",
            Forecast(starts="2026-11-20T13:08:27Z", nodes="alpha[1-2]", partition="batch"),
        ),
        (
            "allocation failure: Requested node configuration is not available\n",
            Forecast(refusal="Requested node configuration is not available"),
        ),
        (
            "sbatch: error: invalid partition specified: x\nallocation failure: Invalid partition name specified\n",
            Forecast(refusal="Invalid partition name specified"),
        ),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", None),
    ],
)
def test_a_forecast_tells_when_and_where_or_why_not(stderr: str, expected: Forecast | None) -> None:
    """An answer that did not come is none."""
    assert read_forecast(stderr) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-00:00:00", 86_400.0),
        ("1-02", 93_600.0),
        ("1-02:03", 93_780.0),
        ("10:00", 600.0),
        ("1:00:00", 3600.0),
        ("30", 1800.0),
        ("0:00", 0.0),
        ("infinite", None),
        ("UNLIMITED", None),
    ],
)
def test_durations_are_read_as_slurm_prints_them(text: str, seconds: float | None) -> None:
    """A number alone counts minutes."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "n/a", "INVALID", "1:2:3:4", "-1", "1-", "1.5"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    """It is not zero."""
    with pytest.raises(ValueError, match="is no duration"):
        read_duration(text)


@given(st.integers(1, 10**6))
def test_durations_are_read_as_they_are_written(minutes: int) -> None:
    """To the minute."""
    assert read_duration(duration_text(minutes * 60)) == minutes * 60
