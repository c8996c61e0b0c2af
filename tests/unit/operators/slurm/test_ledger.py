"""Which attempts a job carries out is known before the cluster hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.operators.slurm.ledger import Job, enter, entered


def job(key: str, asked_at: str, attempts: tuple[str, ...] = ("a",)) -> Job:
    """Give a job."""
    return Job(key=key, operator_key="hpc.default", attempts=attempts, script_sha256="0" * 64, asked_at=asked_at)


def test_jobs_are_read_as_they_were_entered(tmp_path: Path) -> None:
    """Oldest first, whatever their names."""
    jobs = [job("ms-b", "2026-01-01T00:00:00Z"), job("ms-a", "2026-01-02T00:00:00Z", ("a", "b"))]
    for one in reversed(jobs):
        enter(tmp_path, one)

    assert list(entered(tmp_path)) == jobs
    assert [one.is_array for one in jobs] == [False, True]


def test_a_run_without_jobs_has_none(tmp_path: Path) -> None:
    """There need be no folder."""
    assert list(entered(tmp_path)) == []


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"key": 1'])
def test_a_damaged_record_is_refused(damage: str, tmp_path: Path) -> None:
    """Without it, a job might be submitted twice."""
    enter(tmp_path, job("ms-a", ""))
    (tmp_path / "jobs" / "ms-a.json").write_text(damage)

    with pytest.raises(InfrastructureError, match=r"ms-a\.json"):
        list(entered(tmp_path))
