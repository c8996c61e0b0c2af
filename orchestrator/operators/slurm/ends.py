"""Tell how a job ended, and what keeps one from ever beginning."""

from __future__ import annotations

import json
import re
import signal as signals
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.slurm.states import State


class End(StrEnum):
    """How a job ended."""

    EXITED = "EXITED"
    SIGNALLED = "SIGNALLED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    BOOT_FAIL = "BOOT_FAIL"
    PREEMPTED = "PREEMPTED"
    DEADLINE = "DEADLINE"
    LAUNCH_FAILED = "LAUNCH_FAILED"
    CANCELLED = "CANCELLED"


# What the step is not to blame for: it is begun again without spending one of its own retries.
INFRASTRUCTURE = frozenset({End.NODE_FAIL, End.BOOT_FAIL, End.PREEMPTED, End.LAUNCH_FAILED})
# After these, the nodes that the job had are avoided.
BAD_NODES = frozenset({End.NODE_FAIL})

_BY_STATE = {
    "TIMEOUT": End.TIMEOUT,
    "NODE_FAIL": End.NODE_FAIL,
    "BOOT_FAIL": End.BOOT_FAIL,
    "PREEMPTED": End.PREEMPTED,
    "DEADLINE": End.DEADLINE,
    "OUT_OF_MEMORY": End.OUT_OF_MEMORY,
    "LAUNCH_FAILED": End.LAUNCH_FAILED,
    "CANCELLED": End.CANCELLED,
}
# Slurm's number for a job whose output could not be opened.
_NO_OUTPUT = 53
# Its word for jobs that a signal ended, as well as for those that could not be launched.
_KILLED = "JobLaunchFailure"
_OUT_OF_MEMORY = re.compile(
    r"exceeded memory limit|Exceeded job memory limit|oom[-_ ]kill|out[- ]of[- ]memory", re.IGNORECASE
)
_TEXTS = {
    End.TIMEOUT: "the job was ended at its time limit",
    End.NODE_FAIL: "a node of the job failed",
    End.BOOT_FAIL: "a node of the job did not start",
    End.PREEMPTED: "the job had to give way to another one",
    End.DEADLINE: "the job could not end before its deadline",
    End.LAUNCH_FAILED: "the job could not be launched: its directory is not there, or not to be written, on the node",
    End.OUT_OF_MEMORY: "the job used more memory than it asked for",
}

_PER_JOB = re.compile(r"(QOS|Assoc)(Max|Min)\w*(PerJob|PerNode|WallDuration)\w*|QOSMin\w+|(QOS|Assoc)Grp\w*Minutes\w*")
_LESS = "ask for less by the step's 'resources', or name another partition, qos or account, then retry"
_FIXES = {
    "PartitionTimeLimit": "give the step a time_limit below the partition's, or name another partition, then retry",
    "PartitionNodeLimit": _LESS,
    "PartitionConfig": _LESS,
    "BadConstraints": _LESS,
    "NodeConfig": _LESS,
    "AccountNotAllowed": "name another account or partition, then retry",
    "QOSNotAllowed": "name another qos or partition, then retry",
    "InvalidAccount": "name an account that you have, under slurm.account, then retry",
    "InvalidQOS": "name a qos that your account has, under slurm.qos, then retry",
    "AccountingPolicy": _LESS,
    "DependencyNeverSatisfied": "cancel the attempt, then retry: what it waits for has failed",
    "JobHeldUser": "scontrol release JOB, or cancel the attempt",
    "JobHeldAdmin": "ask the site's staff why the job is held, or cancel the attempt",
    "launch failed requeued held": "scontrol release JOB once the node is mended, or cancel the attempt",
    "job requeued in held state": "scontrol release JOB, or cancel the attempt",
    "JobArrayTaskHeld": "scontrol release JOB, or cancel the attempt",
    "ReservationDeleted": "name another reservation under slurm.extra, then retry",
    "ReservationInvalid": "name another reservation under slurm.extra, then retry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a job left as it ended by itself; ``signals`` are those that it was sent, such as USR1.

    Of several that come at the same moment, not all need be there.
    """

    job_id: str
    restart: int
    exit_code: int
    signals: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, JsonValue]:
        """Give it as the job left it."""
        signals = " ".join(sorted(self.signals))
        return {"job": self.job_id, "restart": self.restart, "signals": signals, "exit_code": self.exit_code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended, with the step's exit code or the signal that ended it where there is one, and a text of it."""

    end: End
    exit_code: int | None = None
    signal: str = ""
    text: str = ""

    @property
    def is_infrastructure(self) -> bool:
        """Tell whether the site is to blame, and not the step."""
        return self.end in INFRASTRUCTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A reason for which a job waits that nothing but somebody's act removes, and what to do."""

    reason: str
    fix: str


def ending(
    state: State,
    *,
    reason: str = "",
    exit_code: int | None = None,
    signal: int | None = None,
    record: Record | None = None,
    log: str = "",
    has_claimed: bool = True,
) -> Ending:
    """Say how a job ended that has: by its state and reason, by what the accounting tells, its record and its log.

    Slurm's state decides where it says more than that the job came to an end: a record of 0 beside TIMEOUT is a
    timeout. Otherwise the record is exact. Without accounting, exit code and signal are None.
    """
    end = _BY_STATE.get(state.word)
    if end is not None:
        return Ending(end=end, text=_text(end, state))
    if record is not None:
        return _exited(record.exit_code)
    if signal != _NO_OUTPUT and _OUT_OF_MEMORY.search(log):
        return Ending(end=End.OUT_OF_MEMORY, text=_TEXTS[End.OUT_OF_MEMORY])
    if signal == _NO_OUTPUT or (not has_claimed and state.word != "COMPLETED"):
        return Ending(end=End.LAUNCH_FAILED, text=_TEXTS[End.LAUNCH_FAILED])
    if signal or (reason == _KILLED and signal is None):
        return _signalled(signal_name(signal) if signal else "")
    return _exited(0 if state.word == "COMPLETED" else exit_code)


def read_record(text: str) -> Record | None:
    """Read what a job left as it ended; None where it is not whole."""
    try:
        told = json.loads(text)
        return Record(
            job_id=str(told["job"]),
            restart=int(told["restart"]),
            exit_code=int(told["exit_code"]),
            signals=frozenset(told["signals"].split()),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def stuck(reason: str, job_id: str) -> Stuck | None:
    """Say what to do where a job waits for a reason that does not go away by itself; None where it may."""
    fix = _LESS if _PER_JOB.fullmatch(reason) else _FIXES.get(reason, "")
    return Stuck(reason=reason, fix=fix.replace("JOB", job_id)) if fix else None


def signal_name(number: int) -> str:
    """Give the name of a signal, such as SIGKILL, or its number where it has none here."""
    known = {one.value: one.name for one in signals.Signals}
    return known.get(number, str(number))


def _exited(exit_code: int | None) -> Ending:
    text = "an exit code that the site does not tell" if exit_code is None else f"exit code {exit_code}"
    return Ending(end=End.EXITED, exit_code=exit_code, text=text)


def _signalled(name: str) -> Ending:
    return Ending(
        end=End.SIGNALLED, signal=name, text=f"signal {name}" if name else "a signal that the site does not tell"
    )


def _text(end: End, state: State) -> str:
    if end is not End.CANCELLED:
        return _TEXTS[end]
    return (
        f"the job was cancelled by the user with number {state.by}" if state.by is not None else "the job was cancelled"
    )
