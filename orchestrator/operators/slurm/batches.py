"""Put attempts together into jobs: those that ask Slurm for the same become the tasks of one array."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.slurm.asking import Submission
from orchestrator.operators.slurm.directives import Demand, directives
from orchestrator.operators.slurm.ledger import Job
from orchestrator.operators.slurm.names import job_name
from orchestrator.operators.slurm.parcels import Parcel, Places
from orchestrator.operators.slurm.script import job_script
from orchestrator.operators.slurm.settling import Inquiry
from orchestrator.wiring.model import SlurmBackend

# What Slurm allows where it does not tell.
_MOST_TASKS = 1000


@dataclass(slots=True, kw_only=True)
class Batch:
    """A job that was not submitted for sure: what it needs, when it may be tried, and the searches for it.

    The ``obstacle`` keeps these from proving anything. Where it ``was_sent``, something of it may lie on the cluster.
    The ``script`` is empty until it is needed.
    """

    job: Job
    assignments: tuple[Assignment, ...]
    inquiry: Inquiry
    script: str = ""
    not_before: float = 0.0
    refusals: int = 0
    note: str = ""
    obstacle: str = ""
    was_sent: bool = False


def batches_of(assignments: Sequence[Assignment], backend: SlurmBackend, max_array_size: int | None) -> Iterator[Batch]:
    """Give the jobs for some attempts of one run, as few as Slurm allows; raises `ScriptletError`."""
    alike: dict[tuple[tuple[str, ...], str], list[Assignment]] = defaultdict(list)
    for assignment in assignments:
        beyond = json.dumps([assignment.work.get(name) for name in ("on_walltime", "exclude")], sort_keys=True)
        alike[tuple(directives(demand_of(assignment, backend))), beyond].append(assignment)
    size = _MOST_TASKS if max_array_size is None else max(1, max_array_size)
    for group in alike.values():
        for start in range(0, len(group), size):
            yield new_batch(group[start : start + size], backend)


def new_batch(assignments: Sequence[Assignment], backend: SlurmBackend, turn: int = 0) -> Batch:
    """Give one job for attempts that ask for the same; ``turn`` counts how often they were continued."""
    first, attempts = assignments[0], tuple(one.attempt_id for one in assignments)
    key = job_name(
        run_id=first.run_root.name,
        task_id=first.task_id,
        attempt_index=first.attempt_index,
        attempts=attempts,
        turn=turn,
    )
    script = _script(first, backend, is_array=len(attempts) > 1, turn=turn)
    job = Job(
        key=key,
        operator_key=first.operator_key,
        attempts=attempts,
        script_sha256=hashlib.sha256(script.encode()).hexdigest(),
        asked_at=utc_now(),
        turn=turn,
    )
    return Batch(job=job, assignments=tuple(assignments), inquiry=Inquiry(), script=script)


def restored(job: Job, assignments: Sequence[Assignment]) -> Batch:
    """Give a job again that was recorded, with those of its attempts that are still to be carried out."""
    return Batch(job=job, assignments=tuple(assignments), inquiry=Inquiry())


def halves(batch: Batch, backend: SlurmBackend) -> list[Batch]:
    """Give two jobs in the place of an array that Slurm has refused, to be tried when that was to be."""
    middle = len(batch.assignments) // 2
    parts = (batch.assignments[:middle], batch.assignments[middle:])
    made = [new_batch(part, backend) for part in parts]
    for half in made:
        half.was_sent, half.not_before = True, batch.not_before
    return made


def parcel_of(batch: Batch, backend: SlurmBackend) -> Parcel:
    """Give what the cluster needs for a job; raises `ScriptletError`."""
    job = batch.job
    script = batch.script or _script(batch.assignments[0], backend, is_array=job.is_array, turn=job.turn)
    return Parcel(job=job, script=script, assignments=batch.assignments)


def submission_of(batch: Batch, places: Places, backend: SlurmBackend) -> Submission:
    """Give how a job is submitted."""
    job, first = batch.job, batch.assignments[0]
    near_end = first.work.get("on_walltime") or {}
    return Submission(
        key=job.key,
        folder=places.job(job, first),
        tasks=_tasks_of(batch) if job.is_array else (),
        signal=near_end.get("signal"),
        before_sec=math.ceil(near_end.get("before", 0)),
        turn=job.turn,
        avoid=_avoided(first, backend),
    )


def _tasks_of(batch: Batch) -> list[int]:
    """Give the numbers of those attempts of an array that are still to be carried out."""
    wanted = {one.attempt_id for one in batch.assignments}
    return [number for number, attempt_id in enumerate(batch.job.attempts) if attempt_id in wanted]


def may_continue(assignment: Assignment, turn: int) -> bool:
    """Tell whether an attempt may go on in another job after its time was over."""
    return turn < int((assignment.work.get("on_walltime") or {}).get("restart", 0))


def demand_of(assignment: Assignment, backend: SlurmBackend) -> Demand:
    """Give what the job of an attempt asks Slurm for."""
    work: Mapping[str, Any] = assignment.work
    return Demand(
        slurm=backend.slurm,
        resources=work.get("resources", {}),
        limit_sec=work.get("limit_sec"),
    )


def _avoided(assignment: Assignment, backend: SlurmBackend) -> str:
    """Give the nodes on which it was lost, and those that the wiring excludes: Slurm counts the last list alone."""
    lost: Sequence[str] = assignment.work.get("exclude", ())
    wired = [text.partition("=")[2] for text in backend.slurm.extra if text.startswith("--exclude=")]
    return ",".join([*wired, *lost]) if lost else ""


def _script(assignment: Assignment, backend: SlurmBackend, *, is_array: bool, turn: int) -> str:
    demand = demand_of(assignment, backend)
    return job_script(demand, is_array=is_array, needs_login=bool(backend.slurm.setup), turn=turn)
