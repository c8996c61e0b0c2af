"""Show jobs and partitions, in the words of squeue, sacct and sinfo."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator.testing.fake_slurm.cluster import ACTIVE, Cluster, Job, job_id
from orchestrator.testing.fake_slurm.replies import Options, RefusedError, Reply, reach, read_options
from orchestrator.testing.fake_slurm.times import limit_text, local_time

_LETTER = re.compile(r"%[.\d]*([A-Za-z])")
_SQUEUE_NAMES = {"o": "format", "j": "jobs", "t": "states", "u": "user", "n": "name", "p": "partition", "M": "clusters"}
_SQUEUE_FLAGS = {"h": "noheader", "r": "array", "me": "me", "a": "all"}
_SACCT_NAMES = {"j": "jobs", "o": "format", "S": "starttime", "E": "endtime", "name": "name", "s": "state", "u": "user"}
_SACCT_FLAGS = {"X": "allocations", "n": "noheader", "P": "parsable2", "D": "duplicates"}
_SINFO_NAMES = {"o": "format", "p": "partition"}
_SINFO_FLAGS = {"h": "noheader", "N": "Node"}
_JOB_WORD = re.compile(r"\d+(_\d+)?")

_ACCOUNT_FIELDS = (
    *("JobID", "JobIDRaw", "JobName", "Partition", "Account", "State", "ExitCode", "Submit", "Start", "End"),
    *("ElapsedRaw", "NodeList", "Comment", "TotalCPU", "MaxRSS"),
)
_QUEUE_COLUMNS: dict[str, Callable[[Job], Any]] = {
    "A": lambda job: job["raw_id"],
    "F": lambda job: job["array_id"],
    "K": lambda job: "N/A" if job["task"] is None else job["task"],
    "i": job_id,
    "T": lambda job: job["state"],
    "r": lambda job: job["reason"],
    "S": lambda job: local_time(job["started"]),
    "V": lambda job: local_time(job["submitted"]),
    "e": lambda job: local_time(job["ended"] or job["due"]),
    "N": lambda job: job["node"],
    "j": lambda job: job["name"],
    "k": lambda job: job["comment"],
    "P": lambda job: job["partition"],
    "a": lambda job: job["account"],
}


def squeue(cluster: Cluster, words: Sequence[str]) -> Reply:
    """Show the jobs that the controller knows."""
    options = read_options("squeue", words, _SQUEUE_NAMES, _SQUEUE_FLAGS)
    reach(cluster, "slurm_load_jobs error")
    jobs = cluster.jobs()
    if "jobs" in options:
        jobs = _asked_for(jobs, options.get("jobs"))
    states = options.get("states").upper()
    if states != "ALL":
        jobs = [job for job in jobs if job["state"] in (states.split(",") if states else ACTIVE)]
    if "name" in options:
        jobs = [job for job in jobs if job["name"] in options.get("name").split(",")]
    form = options.get("format", "%i|%P|%j|%T|%N")
    minute_sec = cluster.setting("minute_sec")
    shown = [_filled(form, _QUEUE_COLUMNS, _with_due(job, minute_sec)) for job in jobs]
    head = [] if "noheader" in options else [form.replace("%", "")]
    return Reply(stdout="".join(f"{line}\n" for line in [*head, *shown]))


def sacct(cluster: Cluster, words: Sequence[str]) -> Reply:
    """Show the jobs that the accounting knows: a little later, and for ever."""
    options = read_options("sacct", words, _SACCT_NAMES, _SACCT_FLAGS)
    if cluster.setting("accounting") == "off":
        raise RefusedError("Slurm accounting storage is disabled")
    if cluster.setting("accounting") == "down":
        why = "Problem talking to the database: Connection refused"
        lost = "slurm_persist_conn_open_without_init: failed to open persistent connection to host:127.0.0.1:6819"
        raise RefusedError(f"sacct: error: {lost}: Connection refused\nsacct: error: {why}")
    fields = options.get("format", "JobID,JobName,Partition,Account,State,ExitCode").split(",")
    for field in fields:
        if field not in _ACCOUNT_FIELDS:
            raise RefusedError(f'sacct: error: Invalid field requested: "{field}"')
    shown = ["|".join(str(record[field]) for field in fields) for record in _records(cluster, options)]
    head = [] if "noheader" in options else ["|".join(fields)]
    return Reply(stdout="".join(f"{line}\n" for line in [*head, *shown]))


def sinfo(cluster: Cluster, words: Sequence[str]) -> Reply:
    """Show the partitions."""
    options = read_options("sinfo", words, _SINFO_NAMES, _SINFO_FLAGS)
    reach(cluster, "slurm_load_partitions")
    form = options.get("format", "%P %a %l %D %N")
    lines = [_partition(cluster, name, form) for name in cluster.setting("partitions")]
    head = [] if "noheader" in options else [form.replace("%", "")]
    return Reply(stdout="".join(f"{line}\n" for line in [*head, *lines]))


def _asked_for(jobs: list[Job], text: str) -> list[Job]:
    """Give the jobs of a list of ids; one unknown id alone is an error, and among others it is not."""
    words = [word for word in text.split(",") if word]
    for word in words:
        if not _JOB_WORD.fullmatch(word):
            raise RefusedError(f"squeue: error: Invalid job id: {word}")
    found = [
        job for job in jobs if str(job["array_id"]) in words or job_id(job) in words or str(job["raw_id"]) in words
    ]
    if len(words) == 1 and not found:
        raise RefusedError("slurm_load_jobs error: Invalid job id specified")
    return found


def _with_due(job: Job, minute_sec: float) -> dict[str, Any]:
    due = None if job["started"] is None else job["started"] + job["minutes"] * minute_sec
    return {**dict(job), "due": due}


def _filled(form: str, columns: dict[str, Callable[[Any], Any]], row: Any) -> str:  # noqa: ANN401  as the columns take
    return _LETTER.sub(lambda found: str(columns[found[1]](row)) if found[1] in columns else "", form)


def _records(cluster: Cluster, options: Options) -> Iterator[Job]:
    """Give what the accounting says of the jobs that are asked for."""
    words = options.get("jobs").split(",") if "jobs" in options else []
    for word in words:
        if not _JOB_WORD.fullmatch(word):
            raise RefusedError(f"sacct: fatal: Bad job/step specified: {word}")
    lag = cluster.setting("accounting_lag_sec")
    for job in cluster.rows.execute("SELECT * FROM jobs ORDER BY key").fetchall():
        is_meant = not words or {str(job["array_id"]), job_id(job)} & set(words)
        is_named = "name" not in options or _name(job, cluster.now, lag) in options.get("name").split(",")
        if is_meant and is_named and _is_entered(job, cluster.now, lag):
            runs = [*_former(cluster, job), job] if "duplicates" in options else [job]
            yield from (_record(run, cluster.now, lag) for run in runs)


def _is_entered(job: Job, now: float, lag: float) -> bool:
    return not lag or job["submitted"] + lag / 2 <= now


def _former(cluster: Cluster, job: Job) -> list[Job]:
    """Give the runs of a job before the last one."""
    former = cluster.rows.execute("SELECT * FROM former WHERE job = ? ORDER BY rowid", (job["key"],)).fetchall()
    return [{**job, **run, "exit_code": 0, "exit_signal": 0} for run in former]


def _name(job: Job, now: float, lag: float) -> str:
    """Give a job's name; at first the accounting has another one."""
    return "allocation" if lag and job["submitted"] + lag > now else job["name"]


def _record(job: dict[str, Any], now: float, lag: float) -> dict[str, Any]:
    is_over = job["ended"] is not None and job["ended"] + lag <= now
    state = job["state"] if is_over or job["ended"] is None else "RUNNING"
    if state == "COMPLETING":
        state = "RUNNING"
    if state == "CANCELLED" and job["cancelled_by"] is not None:
        state = f"CANCELLED by {job['cancelled_by']}"
    codes = (job["exit_code"], job["exit_signal"]) if is_over and "CANCELLED" not in state else (0, 0)
    until = job["ended"] if is_over else now
    return {
        "JobID": job_id(job),
        "JobIDRaw": job["raw_id"],
        "JobName": _name(job, now, lag),
        "Partition": job["partition"],
        "Account": job["account"],
        "State": state,
        "ExitCode": f"{codes[0]}:{codes[1]}",
        "Submit": local_time(job["submitted"]),
        "Start": local_time(job["started"], "Unknown"),
        "End": local_time(job["ended"] if is_over else None, "Unknown"),
        "ElapsedRaw": 0 if job["started"] is None else int(until - job["started"]),
        "NodeList": job["node"] or "None assigned",
        "Comment": job["comment"],
        "TotalCPU": "00:00:00",
        "MaxRSS": "",
    }


def _partition(cluster: Cluster, name: str, form: str) -> str:
    partition = cluster.setting("partitions")[name]
    nodes = [cluster.setting("nodes")[node] for node in partition["nodes"]]
    gpus = min(node["gpus"] for node in nodes)
    columns: dict[str, Any] = {
        "R": name,
        "P": f"{name}*" if name == next(iter(cluster.setting("partitions"))) else name,
        "a": partition["state"],
        "l": limit_text(partition["limit"]),
        "L": limit_text(partition["default"]),
        "s": "1-infinite",
        "D": len(nodes),
        "c": min(node["cores"] for node in nodes),
        "m": min(node["memory_mb"] for node in nodes),
        "G": f"gpu:{gpus}" if gpus else "(null)",
        "N": ",".join(partition["nodes"]),
    }
    return _LETTER.sub(lambda found: str(columns.get(found[1], "")), form)
