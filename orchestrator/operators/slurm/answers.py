"""Read what Slurm's programs print: as text, which is the same in all of their versions. Times are UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.operators.slurm.states import State, read_state

_SUBMITTED = re.compile(r"([0-9]{1,10})(?:;(\S+))?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")
_SETTING = re.compile(r"(?P<name>\w+)(?:\[\d+\])?\s*= (?P<value>.*)")
_WOULD_START = re.compile(
    r"Job \d+ to start at (?P<at>\S+) using \d+ processors on nodes (?P<nodes>\S+) in partition (?P<part>\S+)"
)
_REFUSED = re.compile(r"allocation failure: (.*)")
_UNLIMITED = frozenset({"UNLIMITED", "INFINITE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that Slurm took on, and the cluster where it told one."""

    job_id: str
    cluster: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A job as the queue shows it; times are empty where they are not known.

    ``raw_id`` is a number of its own; tasks of an array that wait share one. ``job_id`` names the job to Slurm's other
    programs, and is ``ARRAY_INDEX`` for a task of an array. ``ends`` is when it ended, or has to end.
    """

    raw_id: str
    array_id: str
    index: int | None
    state: State
    reason: str
    started: str
    ends: str
    nodes: str
    name: str

    @property
    def job_id(self) -> str:
        """Give the id by which jobs are asked for and cancelled."""
        return self.array_id if self.index is None else f"{self.array_id}_{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One run of a job as the accounting keeps it; a job that was begun again has several. Times may be empty."""

    job_id: str
    raw_id: str
    name: str
    state: State
    exit_code: int
    signal: int
    submitted: str
    started: str
    ended: str
    elapsed_sec: float | None
    nodes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a cluster is set up, where it tells; durations are in seconds."""

    cluster: str = ""
    version: str = ""
    hosts: tuple[str, ...] = ()
    min_job_age_sec: float | None = None
    message_timeout_sec: float | None = None
    kill_wait_sec: float | None = None
    max_array_size: int | None = None
    max_jobs: int | None = None
    enforces_limits: bool = False
    has_accounting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRow:
    """Nodes of one size in a partition; None is no limit. ``job_nodes`` is how many nodes a job may have, as text."""

    name: str
    is_up: bool
    limit_sec: float | None
    job_nodes: str
    nodes: int
    cores: int
    memory_mb: int
    gres: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When a job would start, and where; or why it would be refused."""

    starts: str = ""
    nodes: str = ""
    partition: str = ""
    refusal: str = ""


def read_submitted(stdout: str) -> Submitted | None:
    """Give the job of the last line that tells one; None where none does."""
    found = [_SUBMITTED.fullmatch(line.strip()) for line in stdout.splitlines()]
    last = next((match for match in reversed(found) if match), None)
    return Submitted(job_id=last[1], cluster=last[2] or "") if last else None


def read_queue(text: str) -> tuple[QueueRow, ...]:
    """Give the jobs that `QUEUE` printed; lines that tell of no job are left out."""
    return tuple(row for line in text.split("\n") if (row := _queue_row(line)))


def read_accounting(text: str) -> tuple[AccountRow, ...]:
    """Give the jobs that `accounting` printed; lines that tell of no job are left out."""
    return tuple(row for line in text.split("\n") if (row := _account_row(line)))


def read_settings(text: str) -> Settings:
    """Give what ``scontrol show config`` tells."""
    told = [match for line in text.splitlines() if (match := _SETTING.fullmatch(line.strip()))]
    of = {match["name"]: match["value"].strip() for match in told}
    return Settings(
        cluster=of.get("ClusterName", ""),
        version=of.get("SLURM_VERSION", ""),
        hosts=tuple(match["value"].strip() for match in told if match["name"] == "SlurmctldHost"),
        min_job_age_sec=_seconds_told(of.get("MinJobAge", "")),
        message_timeout_sec=_seconds_told(of.get("MessageTimeout", "")),
        kill_wait_sec=_seconds_told(of.get("KillWait", "")),
        max_array_size=_number(of.get("MaxArraySize", "")),
        max_jobs=_number(of.get("MaxJobCount", "")),
        enforces_limits=of.get("EnforcePartLimits", "NO") not in {"NO", "0"},
        has_accounting="slurmdbd" in of.get("AccountingStorageType", ""),
    )


def read_partitions(text: str) -> tuple[PartitionRow, ...]:
    """Give the partitions that `PARTITIONS` printed; lines that tell of none are left out."""
    return tuple(row for line in text.splitlines() if (row := _partition_row(line)))


def read_forecast(stderr: str) -> Forecast | None:
    """Give what ``sbatch --test-only`` told; None where it told nothing, as when it could not ask."""
    if found := _WOULD_START.search(stderr):
        return Forecast(starts=read_time(found["at"]), nodes=found["nodes"], partition=found["part"])
    refused = _REFUSED.search(stderr)
    return Forecast(refusal=refused[1].strip()) if refused else None


def read_time(text: str) -> str:
    """Give a time as ISO 8601 with ``Z``; empty for one that is not known."""
    return f"{text}Z" if _TIME.fullmatch(text) else ""


def read_duration(text: str) -> float | None:
    """Give the seconds of ``DAYS-HH:MM:SS`` and its shorter forms, as Slurm prints them; None where there is no limit.

    Raises `ValueError` for a text that is no duration.
    """
    word = text.strip()
    if word.upper() in _UNLIMITED:
        return None
    found = _DURATION.fullmatch(word)
    if found is None:
        raise ValueError(f"{text!r} is no duration of Slurm")
    parts = [int(part) for part in found["clock"].split(":")]
    if found["days"]:
        parts = [*parts, 0, 0][:3]
    elif len(parts) == 1:
        parts = [*parts, 0]
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + part
    return float(int(found["days"] or 0) * 86_400 + seconds)


def _queue_row(line: str) -> QueueRow | None:
    # The name may hold the separator, so it comes last.
    parts = line.split("|", 8)
    if len(parts) < 9 or not (parts[0].isdecimal() and parts[1].isdecimal()):  # noqa: PLR2004  fields of the format
        return None
    raw_id, array_id, index, state, reason, started, ends, nodes, name = parts
    return QueueRow(
        raw_id=raw_id,
        array_id=array_id,
        index=_number(index),
        state=read_state(state),
        reason="" if reason == "None" else reason,
        started=read_time(started),
        ends=read_time(ends),
        nodes=nodes,
        name=name,
    )


def _account_row(line: str) -> AccountRow | None:
    # A name may hold the separator, and nothing else does.
    head, tail = line.split("|", 2), line.rsplit("|", 7)
    if line.count("|") < 9 or not head[1].isdecimal():  # noqa: PLR2004  fields of the format
        return None
    name = head[2][: len(head[2]) - sum(len(part) + 1 for part in tail[1:])]
    state, exit_code, submitted, started, ended, elapsed, nodes = tail[1:]
    code, _, signal = exit_code.partition(":")
    return AccountRow(
        job_id=head[0],
        raw_id=head[1],
        name=name,
        state=read_state(state),
        exit_code=_number(code) or 0,
        signal=_number(signal) or 0,
        submitted=read_time(submitted),
        started=read_time(started),
        ended=read_time(ended),
        elapsed_sec=float(elapsed) if elapsed.isdecimal() else None,
        nodes="" if nodes == "None assigned" else nodes,
    )


def _partition_row(line: str) -> PartitionRow | None:
    parts = line.split("|")
    if len(parts) != 8:  # noqa: PLR2004  fields of the format
        return None
    name, available, limit, job_nodes, nodes, cores, memory, gres = parts
    try:
        return PartitionRow(
            name=name,
            is_up=available == "up",
            limit_sec=read_duration(limit),
            job_nodes=job_nodes,
            nodes=int(nodes),
            cores=int(cores.rstrip("+")),
            memory_mb=int(memory.rstrip("+")),
            gres="" if gres == "(null)" else gres,
        )
    except ValueError:
        return None


def _seconds_told(text: str) -> float | None:
    number, _, unit = text.partition(" ")
    return float(number) if number.isdecimal() and unit in {"", "sec"} else None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
