"""Set what jobs used of a cluster against what their steps asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.output import harmless, print_json, print_table, seconds
from orchestrator.cli.prompts import terminal_ask
from orchestrator.operators.registry import wiring_of
from orchestrator.operators.slurm.links import site_of
from orchestrator.operators.slurm.sites import AwayError
from orchestrator.operators.slurm.usage import Usage, usage_of
from orchestrator.store.database import Database, reading
from orchestrator.store.queries import AttemptRow, iterate_all_attempts
from orchestrator.wiring.model import SlurmBackend

HEADERS = ["task", "attempt", "job", "time", "time_limit", "cpu", "cores", "memory", "memory_asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """One attempt: what its step asked for, and what its last job used."""

    row: AttemptRow
    used: Usage

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the step's resources."""
        resources: dict[str, Any] = self.row.operator_data.get("work", {}).get("resources") or {}
        return resources

    @property
    def limit_sec(self) -> float | None:
        """Give the time that was asked for."""
        limit: float | None = self.row.operator_data.get("work", {}).get("limit_sec")
        return limit

    @property
    def cpu_share(self) -> float | None:
        """Give the processor time as a share of what its cores could have given."""
        whole = (self.used.elapsed_sec or 0.0) * self.asked.get("cores", 1)
        return None if self.used.cpu_sec is None or not whole else self.used.cpu_sec / whole

    def cells(self) -> list[object]:
        """Give a row of the table."""
        memory_gb, peak_mb = self.asked.get("memory_gb"), self.used.max_rss_mb
        return [
            self.row.task_id,
            self.row.attempt_index,
            self.row.external_id,
            seconds(self.used.elapsed_sec),
            seconds(self.limit_sec),
            "" if self.cpu_share is None else f"{self.cpu_share:.0%}",
            f"{self.asked.get('cores', 1):g}",
            "" if peak_mb is None else f"{peak_mb / 1024:.2f} GB",
            "" if memory_gb is None else f"{memory_gb:g} GB",
        ]

    def document(self) -> dict[str, Any]:
        """Give the same for programs: seconds, MB and GB."""
        return {
            "task": self.row.task_id,
            "attempt": self.row.attempt_index,
            "job": self.row.external_id,
            "asked": {
                "cores": self.asked.get("cores", 1),
                "memory_gb": self.asked.get("memory_gb"),
                "time_sec": self.limit_sec,
            },
            "used": {
                "time_sec": self.used.elapsed_sec,
                "cpu_sec": self.used.cpu_sec,
                "max_rss_mb": self.used.max_rss_mb,
            },
        }


def show_efficiency(run_root: Path, *, as_json: bool) -> None:
    """Print, for each attempt that a cluster carried out and has ended, what it used of what it asked for.

    Each cluster is asked once; one without accounting is told of, and its attempts show what was asked for.
    """
    with reading(run_root) as database:
        clusters = _clusters(database)
        rows = [row for row in iterate_all_attempts(database, log_cap=0) if _has_job(row, clusters)]
    used: dict[tuple[str, str], Usage] = {}
    for key in dict.fromkeys(str(row.operator_key) for row in rows):
        ids = [str(row.external_id) for row in rows if row.operator_key == key]
        used |= {(key, job_id): usage for job_id, usage in _asked_of(key, clusters[key], ids)}
    compared = [
        _Compared(row=row, used=used.get((str(row.operator_key), str(row.external_id)), Usage())) for row in rows
    ]
    if as_json:
        print_json([one.document() for one in compared])
    else:
        print_table((one.cells() for one in compared), HEADERS)


def _clusters(database: Database) -> dict[str, SlurmBackend]:
    wired = wiring_of(database).operators.items()
    return {key: one.backend for key, one in wired if isinstance(one.backend, SlurmBackend)}


def _has_job(row: AttemptRow, clusters: Mapping[str, SlurmBackend]) -> bool:
    return bool(row.external_id) and row.ended_at is not None and (row.operator_key or "") in clusters


def _asked_of(key: str, backend: SlurmBackend, ids: list[str]) -> Iterator[tuple[str, Usage]]:
    site = site_of(backend, terminal_ask())
    try:
        yield from usage_of(site, ids).items()
    except AwayError as error:
        click.echo(f"note: what was used on {key} is not known: {harmless(str(error))}", err=True)
    finally:
        site.let_go()
