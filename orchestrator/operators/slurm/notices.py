"""Leave in the run's folder what was last seen of a cluster, for those who look at the run; nobody relies on it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import InfrastructureError
from orchestrator.files import TEMPORARY, make_directory

FOLDER = "sites"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """A job as the queue last showed it: its state in Slurm's word, why it waits, when it starts or started (UTC).

    The ``advice`` is what to do where the reason never goes away by itself. One that Slurm refused for now has no
    state, but the reason and when it is submitted ``again``.
    """

    job_id: str = ""
    state: str = ""
    reason: str = ""
    starts: str = ""
    nodes: str = ""
    again: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """Give it for people: ``job 12 PENDING (Priority), starts at 2026-11-20T12:02:33Z``."""
        if self.again:
            return f"{self.reason}: tried again at {self.again}"
        why = f" ({self.reason})" if self.reason else ""
        start = f", starts at {self.starts}" if self.starts and self.state == "PENDING" else ""
        advice = f": {self.advice}" if self.advice else ""
        return f"job {self.job_id} {self.state}{why}{start}{advice}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was last seen of a site: when it was looked at and will be, what stands in the way, and jobs by attempt.

    Times are empty where it was not looked at yet, or is not before somebody does something.
    """

    site: str
    looked_at: str
    next_at: str
    trouble: str = ""
    jobs: Mapping[str, JobSeen] = field(default_factory=dict)


def leave(run_root: Path, key: str, notice: Notice) -> None:
    """Put a notice in the place of the one before; where the disk refuses, nothing is seen of the site."""
    path = run_root / FOLDER / f"{key}.json"
    draft = path.with_name(f"{TEMPORARY}{key}")
    with suppress(OSError, InfrastructureError):
        if not path.parent.is_dir():
            make_directory(path.parent)
        draft.write_text(json.dumps(asdict(notice)), encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105  it need not outlive a crash, so nothing is synced


def notices(run_root: Path) -> dict[str, Notice]:
    """Give what was last seen of sites by operator key; one that cannot be read is left out."""
    found = {}
    for path in sorted((run_root / FOLDER).glob("[!.]*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            found[path.stem] = _read(json.loads(path.read_text(encoding="utf-8")))
    return found


def _read(told: dict[str, Any]) -> Notice:
    jobs = {attempt_id: JobSeen(**job) for attempt_id, job in told["jobs"].items()}
    return Notice(**{**told, "jobs": jobs})
