"""A job's state, the accounting, its record and its log say together how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.operators.slurm.ends import BAD_NODES, End, Ending, Record, ending, read_record, signal_name, stuck
from orchestrator.operators.slurm.states import Phase, read_state

OVER = "slurmstepd-alpha1: error: StepId=13.batch exceeded memory limit (430596096 > 104857600), being killed\n"
KILLED = (
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch. Some of the step tasks have been OOM Killed.\n"
)


def record(exit_code: int) -> Record:
    """Give what a job left that ended by itself."""
    return Record(job_id="7", restart=0, exit_code=exit_code)


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("PENDING", Phase.WAITING),
        ("CONFIGURING", Phase.WAITING),
        ("REQUEUED", Phase.WAITING),
        ("SPECIAL_EXIT", Phase.WAITING),
        ("RUNNING", Phase.RUNNING),
        ("COMPLETING", Phase.RUNNING),
        ("SUSPENDED", Phase.RUNNING),
        ("REVOKED", Phase.RUNNING),
        ("STAGE_OUT", Phase.RUNNING),
        ("COMPLETED", Phase.ENDED),
        ("CANCELLED by 1001", Phase.ENDED),
        ("OUT_OF_MEMORY", Phase.ENDED),
        ("PREEMPTED", Phase.ENDED),
        ("A_STATE_OF_TOMORROW", Phase.ODD),
        ("", Phase.ODD),
    ],
)
def test_F36_states_stand_for_phases(word: str, phase: Phase) -> None:  # noqa: N802  a row of the faults
    """One that nobody knows is none of an end."""
    assert read_state(word).phase is phase


def test_S11_who_cancelled_is_told() -> None:  # noqa: N802  a statement of the design
    """By number."""
    state = read_state("CANCELLED by 1001")

    assert (state.word, state.by) == ("CANCELLED", 1001)
    assert ending(state).text == "the job was cancelled by the user with number 1001"
    assert ending(read_state("CANCELLED")).text == "the job was cancelled"


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("TIMEOUT", End.TIMEOUT),
        ("NODE_FAIL", End.NODE_FAIL),
        ("BOOT_FAIL", End.BOOT_FAIL),
        ("PREEMPTED", End.PREEMPTED),
        ("DEADLINE", End.DEADLINE),
        ("OUT_OF_MEMORY", End.OUT_OF_MEMORY),
        ("CANCELLED by 0", End.CANCELLED),
    ],
)
@pytest.mark.parametrize("left", [None, record(0), record(143)])
def test_S11_S12_what_slurm_did_beats_what_the_job_left(  # noqa: N802  statements of the design
    left: Record | None, word: str, end: End
) -> None:
    """A timeout whose step ended with 0 is a timeout."""
    found = ending(read_state(word), exit_code=0, signal=0, record=left)

    assert (found.end, found.exit_code, found.signal) == (end, None, "")
    assert found.text


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"exit_code": 3, "signal": 0, "reason": "NonZeroExitCode"}, Ending(end=End.EXITED, exit_code=3)),
        ({"exit_code": 44, "signal": 0, "record": record(44)}, Ending(end=End.EXITED, exit_code=44)),
        ({"exit_code": 0, "signal": 9, "reason": "JobLaunchFailure"}, Ending(end=End.SIGNALLED, signal="SIGKILL")),
        ({"exit_code": 0, "signal": 11}, Ending(end=End.SIGNALLED, signal="SIGSEGV")),
        ({"exit_code": 0, "signal": 9, "log": OVER}, Ending(end=End.OUT_OF_MEMORY)),
        ({"exit_code": 0, "signal": 9, "log": KILLED}, Ending(end=End.OUT_OF_MEMORY)),
        ({"reason": "JobLaunchFailure", "log": OVER}, Ending(end=End.OUT_OF_MEMORY)),
        ({"exit_code": 0, "signal": 53}, Ending(end=End.LAUNCH_FAILED)),
        ({"reason": "JobLaunchFailure", "has_claimed": False}, Ending(end=End.LAUNCH_FAILED)),
        ({"reason": "JobLaunchFailure"}, Ending(end=End.SIGNALLED)),
        ({"reason": "NonZeroExitCode"}, Ending(end=End.EXITED)),
        ({"reason": "NonZeroExitCode", "record": record(5)}, Ending(end=End.EXITED, exit_code=5)),
        ({"record": record(0), "log": KILLED}, Ending(end=End.EXITED, exit_code=0)),
    ],
)
def test_S12_a_job_that_failed_tells_how(known: dict[str, Any], expected: Ending) -> None:  # noqa: N802  a statement
    """With the accounting, or without it."""
    found = ending(read_state("FAILED"), **known)

    assert (found.end, found.exit_code, found.signal) == (expected.end, expected.exit_code, expected.signal)
    assert found.text


def test_a_job_that_completed_ended_with_0() -> None:
    """Also where only the queue tells of it."""
    assert ending(read_state("COMPLETED")) == Ending(end=End.EXITED, exit_code=0, text="exit code 0")


def test_S12_what_the_site_is_to_blame_for() -> None:  # noqa: N802  a statement of the design
    """These spend no retry of the step; a node that failed is avoided."""
    words = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "CANCELLED", "FAILED")

    blamed = [word for word in words if ending(read_state(word), exit_code=1).is_infrastructure]

    assert blamed == ["NODE_FAIL", "BOOT_FAIL", "PREEMPTED"]
    assert ending(read_state("FAILED"), signal=53).is_infrastructure
    assert frozenset({End.NODE_FAIL}) == BAD_NODES


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"job": "7", "restart": 0, "signals": ""', '{"job": "7"}'])
def test_a_record_that_is_torn_is_none(text: str) -> None:
    """It is read once it is whole."""
    assert read_record(text) is None


def test_a_signal_has_a_name() -> None:
    """Or its number, where this machine knows none."""
    assert (signal_name(9), signal_name(99)) == ("SIGKILL", "99")


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "PartitionConfig",
        "DependencyNeverSatisfied",
        "JobHeldUser",
        "JobHeldAdmin",
        "BadConstraints",
        "QOSMaxWallDurationPerJobLimit",
        "AssocMaxCpuPerJobLimit",
        "AssocGrpCPUMinutesLimit",
        "QOSMinGRES",
        "InvalidAccount",
        "launch failed requeued held",
    ],
)
def test_S15_what_never_clears_comes_with_what_to_do(reason: str) -> None:  # noqa: N802  a statement of the design
    """For the job that waits."""
    found = stuck(reason, "12_3")

    assert found is not None
    assert found.reason == reason
    assert found.fix
    assert "JOB" not in found.fix


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "None",
        "Priority",
        "Resources",
        "Dependency",
        "BeginTime",
        "JobArrayTaskLimit",
        "AssocMaxJobsLimit",
        "QOSMaxJobsPerUserLimit",
        "AssocGrpCpuLimit",
        "PartitionDown",
        "ReqNodeNotAvail, UnavailableNodes:alpha1",
        "Licenses",
        "a reason of tomorrow",
    ],
)
def test_what_may_clear_by_itself_is_waited_for(reason: str) -> None:
    """Also where nobody knows the reason."""
    assert stuck(reason, "12") is None


def test_a_fix_names_the_job() -> None:
    """So that it can be typed."""
    found = stuck("JobHeldUser", "12_3")

    assert found is not None
    assert found.fix == "scontrol release 12_3, or cancel the attempt"
