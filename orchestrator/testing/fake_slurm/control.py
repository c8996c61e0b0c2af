"""Steer jobs, in the words of scancel and scontrol."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from orchestrator.testing.fake_slurm.cluster import ACTIVE, Cluster, Job, job_id, signal_of
from orchestrator.testing.fake_slurm.replies import Options, RefusedError, Reply, reach, read_options, trouble
from orchestrator.testing.fake_slurm.times import local_time

_SCANCEL_NAMES = {"n": "name", "t": "state", "u": "user", "p": "partition", "M": "clusters", "s": "signal"}
_SCANCEL_FLAGS = {"v": "verbose", "Q": "quiet", "me": "me", "b": "batch"}
_IDS = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,-]+)\]))?")
_EXIT_CODES = {"down": 8, "hung": 140}
_UNKNOWN = "Invalid job id specified"


def scancel(cluster: Cluster, words: Sequence[str]) -> Reply:
    """End jobs, or send them a signal; that a job is unknown or has ended is no error."""
    options = read_options("scancel", words, _SCANCEL_NAMES, _SCANCEL_FLAGS)
    if not options.rest and not options.values:
        raise RefusedError("scancel: error: No job identification provided")
    wanted = [_numbers(word, "scancel: error: Invalid job id {}") for word in options.rest]
    if text := trouble(cluster):
        head = f"Kill job error on job id {options.rest[0]}: " if options.rest else ""
        code, patience = _EXIT_CODES[cluster.setting("controller")], cluster.setting("patience_sec")
        raise RefusedError(f"scancel: error: {head}{text}", code, patience)
    states = (options.get("state").upper(),) if "state" in options else ACTIVE
    for job in cluster.jobs():
        named = "name" not in options or job["name"] == options.get("name")
        if job["state"] in states and named and (not wanted or any(_is_one(job, one) for one in wanted)):
            _cancel(cluster, job, options)
    cluster.advance()
    return Reply()


def _cancel(cluster: Cluster, job: Job, options: Options) -> None:
    """End a job, or send it a signal: to its script with ``--batch``, else to its steps, of which it has none."""
    if "signal" not in options:
        cluster.ask_to_end(job, "CANCELLED", by=os.getuid())
    elif "batch" in options:
        cluster.signal(job, signal_of(options.get("signal")))


def scontrol(cluster: Cluster, words: Sequence[str]) -> Reply:
    """Show or change what the controller knows."""
    options = read_options("scontrol", words, {}, {"o": "oneliner"})
    call, rest = " ".join(options.rest[:1]), options.rest[1:]
    if call == "ping":
        state = "UP" if cluster.setting("controller") == "up" else "DOWN"
        return Reply(stdout=f"Slurmctld(primary) at localhost is {state}\n", exit_code=int(state == "DOWN"))
    if call == "show" and rest[:1] == ("config",):
        reach(cluster, "slurm_load_ctl_conf error")
        return Reply(stdout=_configuration(cluster))
    if call == "show" and rest[:1] in (("job",), ("jobs",)):
        reach(cluster, "slurm_load_jobs error")
        return _show(cluster, rest[1:], is_one_line="oneliner" in options)
    if call in _CHANGES and rest:
        reach(cluster, "slurm_update error")
        return _change(cluster, rest[-1], _CHANGES[call])
    raise RefusedError(f"scontrol: invalid keyword: {call}")


def _numbers(word: str, refusal: str) -> tuple[str, set[int] | None]:
    """Give an id and the tasks of it that are meant; None is all of them."""
    found = _IDS.fullmatch(word)
    if found is None:
        raise RefusedError(refusal.format(word))
    tasks: set[int] = set()
    for part in (found[2] or found[3] or "").split(","):
        if part:
            first, _, last = part.partition("-")
            tasks |= set(range(int(first), int(last or first) + 1))
    return found[1], tasks or None


def _is_one(job: Job, wanted: tuple[str, set[int] | None]) -> bool:
    number, tasks = wanted
    if tasks is not None:
        return str(job["array_id"]) == number and job["task"] in tasks
    return number in (str(job["array_id"]), str(job["raw_id"]))


def _configuration(cluster: Cluster) -> str:
    with_limits = "ALL" if cluster.setting("enforce_limits") else "NO"
    accounting = "(null)" if cluster.setting("accounting") == "off" else "accounting_storage/slurmdbd"
    told = {
        "AccountingStorageType": accounting,
        "ClusterName": cluster.setting("cluster"),
        "EnforcePartLimits": with_limits,
        "KillWait": f"{cluster.setting('kill_wait_sec'):g} sec",
        "MaxArraySize": cluster.setting("max_array_size"),
        "MaxJobCount": 10000,
        "MessageTimeout": "10 sec",
        "MinJobAge": f"{cluster.setting('min_job_age_sec'):g} sec",
        "SLURM_VERSION": "22.05.8",
        "SlurmctldHost[0]": "localhost(127.0.0.1)",
    }
    lines = [f"Configuration data as of {local_time(cluster.now)}", *(f"{name:<23} = {told[name]}" for name in told)]
    return "".join(f"{line}\n" for line in [*lines, "", "Slurmctld(primary) at localhost is UP"])


def _show(cluster: Cluster, words: Sequence[str], *, is_one_line: bool) -> Reply:
    jobs = cluster.jobs()
    if words:
        wanted = _numbers(words[0], f"scontrol_print_job error: {_UNKNOWN}")
        jobs = [job for job in jobs if _is_one(job, wanted)]
        if not jobs:
            raise RefusedError(f"slurm_load_jobs error: {_UNKNOWN}")
    between = " " if is_one_line else "\n   "
    return Reply(stdout="".join(f"{between.join(_fields(job))}\n" for job in jobs))


def _fields(job: Job) -> list[str]:
    array = [] if job["task"] is None else [f"ArrayJobId={job['array_id']}", f"ArrayTaskId={job['task']}"]
    return [
        " ".join([f"JobId={job['raw_id']}", *array, f"JobName={job['name']}"]),
        f"JobState={job['state']} Reason={job['reason']}",
        f"Restarts={job['restart']} ExitCode={job['exit_code']}:{job['exit_signal']}",
        f"SubmitTime={local_time(job['submitted'])} StartTime={local_time(job['started'], 'Unknown')}",
        f"EndTime={local_time(job['ended'], 'Unknown')} NodeList={job['node']}",
        f"Comment={job['comment']}",
    ]


def _change(cluster: Cluster, word: str, change: Callable[[Cluster, Job], None]) -> Reply:
    wanted = _numbers(word, f"{_UNKNOWN} for job {{}}")
    jobs = [job for job in cluster.jobs() if _is_one(job, wanted)]
    if not jobs:
        raise RefusedError(f"{_UNKNOWN} for job {word}")
    for job in jobs:
        change(cluster, job)
    cluster.advance()
    return Reply()


def _requeue(cluster: Cluster, job: Job) -> None:
    if job["state"] == "PENDING":
        raise RefusedError(f"Job is pending execution for job {job_id(job)}")
    cluster.ask_to_end(job, "REQUEUED")


_CHANGES: dict[str, Callable[[Cluster, Job], None]] = {
    "requeue": _requeue,
    "hold": lambda cluster, job: cluster.change(job["key"], held=1),
    "release": lambda cluster, job: cluster.change(job["key"], held=0),
}
