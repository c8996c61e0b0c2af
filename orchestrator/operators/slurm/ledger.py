"""Keep in the run's folder which attempts a job is to carry out, from before the cluster hears of it.

An attempt that the state file holds as submitting may have a job already. The record of that job, durable before
anything was sent, says by which name to look for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InfrastructureError
from orchestrator.files import make_directory, replace_file

FOLDER = "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job, or an array of jobs with one attempt each: attempt ``i`` of ``attempts`` is the array's task ``i``.

    ``key`` is its name, which no other job of the site has. ``turn`` counts how often the attempts were continued.
    """

    key: str
    operator_key: str
    attempts: tuple[str, ...]
    script_sha256: str
    asked_at: str
    turn: int = 0

    @property
    def is_array(self) -> bool:
        """Tell whether it has tasks with numbers of their own."""
        return len(self.attempts) > 1


class Ledger:
    """The job that each attempt was recorded with last, in runs that were read; from then on they are ours alone."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._first: dict[str, Job] = {}
        self._read: set[Path] = set()

    def read(self, run_roots: Iterable[Path]) -> None:
        """Learn the jobs of runs, once for each; raises `InfrastructureError` for a record that is damaged."""
        for run_root in set(run_roots) - self._read:
            for job in entered(run_root):
                self._keep(job)
            self._read.add(run_root)

    def enter(self, run_root: Path, job: Job) -> None:
        """Record a job, durably; raises `InfrastructureError` where the disk refuses."""
        enter(run_root, job)
        self._keep(job)

    def job_of(self, attempt_id: str) -> Job | None:
        """Give the last job of an attempt; None where it was recorded with none."""
        return self._jobs.get(attempt_id)

    def first_of(self, attempt_id: str) -> Job | None:
        """Give the job that an attempt began with, before it was continued; None where it was recorded with none."""
        return self._first.get(attempt_id)

    def _keep(self, job: Job) -> None:
        for attempt_id in job.attempts:
            former = self._jobs.get(attempt_id)
            if former is None or former.turn <= job.turn:
                self._jobs[attempt_id] = job
            if job.turn == 0:
                self._first[attempt_id] = job


def enter(run_root: Path, job: Job) -> None:
    """Record a job, durably; raise `InfrastructureError` where the disk refuses."""
    folder = run_root / FOLDER
    make_directory(folder)
    replace_file(folder / f"{job.key}.json", json.dumps(asdict(job)).encode())


def entered(run_root: Path) -> Iterator[Job]:
    """Give the jobs of a run, oldest first; raise `InfrastructureError` for a record that is damaged."""
    jobs = [_read(path) for path in (run_root / FOLDER).glob("[!.]*.json")]
    yield from sorted(jobs, key=lambda job: (job.asked_at, job.key))


def _read(path: Path) -> Job:
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Job(**{**fields, "attempts": tuple(fields["attempts"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        hint = "put it back from a backup: it says which jobs are this run's, so without it they may run twice"
        raise InfrastructureError(f"the record of a job cannot be read: {path}", hint=hint) from error
