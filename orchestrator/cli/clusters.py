"""Show what was last seen of the clusters of a run, and of the jobs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.operators.slurm.notices import Notice
from orchestrator.store.database import Database
from orchestrator.store.glances import count_by_operator
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import read_open_attempts


def jobs_of(database: Database, seen: Mapping[str, Notice]) -> dict[str, str]:
    """Give where the open attempts on clusters stand, for people, by task: their jobs, or what stands in the way."""
    told: dict[str, str] = {}
    for row in read_open_attempts(database) if seen else ():
        if (notice := seen.get(row.operator_key or "")) is not None:
            note = str(row.operator_data.get("note") or "")
            job = notice.jobs.get(row.attempt_id)
            told[row.task_id] = notice.trouble or (str(job) if job else note)
    return told


def site_lines(database: Database, seen: Mapping[str, Notice]) -> Iterator[str]:
    """Say of each cluster that has attempts when it was looked at last and will be, or what stands in the way."""
    driven, busy = is_driven(database.run_root), count_by_operator(database) if seen else {}
    for key, notice in seen.items():
        if key not in busy:
            continue
        looked = f"looked at {_clock(notice.looked_at)}" if notice.looked_at else "not looked at yet"
        coming = f"next at {_clock(notice.next_at)}" if notice.next_at else "not tried again by itself"
        ahead = coming if driven else "the runner is stopped"
        yield f"{key}: {notice.trouble or looked}; {ahead}"


def _clock(at: str) -> str:
    return f"{at[:19]}Z"
