"""A scriptlet written after the seed's skeleton works with nothing but its imports changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import Context
from orchestrator.workers.loading import load_class
from scriptlets.steps.compute_numbers import ComputeNumbers
from tests.seed_skeleton import SKELETON

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(name="skeleton")
def _skeleton(tmp_path: Path) -> Path:
    path = tmp_path / "compute_median.py"
    path.write_text(SKELETON, encoding="utf-8")
    (tmp_path / "numbers.csv").write_text("3\n1\n\n2\n", encoding="utf-8")
    return path


def by_hand(skeleton: Path, params: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the file as a program in its own folder."""
    command = [sys.executable, skeleton.name, "--params", json.dumps(params)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=skeleton.parent, env=environment, capture_output=True, text=True, check=False)


def test_skeleton_runs_by_hand(skeleton: Path) -> None:
    """One JSON line, exit code 0, seconds on standard error."""
    answer = by_hand(skeleton, {"src": "numbers.csv"})

    assert answer.stdout == '{"status": "ok", "outputs": ["numbers.median_v1"]}\n'
    assert answer.returncode == 0
    assert answer.stderr.startswith("[resource] duration_sec=")


def test_skeleton_fails_by_hand(skeleton: Path) -> None:
    """Its own error envelope and exit code 1."""
    answer = by_hand(skeleton, {"src": "missing.csv"})

    assert json.loads(answer.stdout) == {
        "status": "error",
        "reason": "file not found",
        "exit_code": 1,
        "step": "compute_median",
    }
    assert answer.returncode == 1


def test_skeleton_is_loaded_and_run(skeleton: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The runner finds the class and gets what it wrote."""
    ctx = Context()
    found = load_class(skeleton, "seed_skeleton", "ComputeMedian", "first")

    status = found().run(ctx, {"src": str(skeleton.with_name("numbers.csv"))})

    assert status == 0
    assert ctx.get("numbers.median_v1") == {"median": 2.0, "count": 3}
    assert capsys.readouterr().out == '{"status": "ok", "outputs": ["numbers.median_v1"]}\n'


def test_compute_numbers_missing_file(tmp_path: Path) -> None:
    """The seed's own negative test: exit code 1 and nothing written."""
    ctx = Context()

    code = ComputeNumbers().run(ctx, {"src": str(tmp_path / "missing.csv")})

    assert code == 1
    assert ctx.get("numbers.stats_v1") is None
