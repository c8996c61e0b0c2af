"""A run survives kill -9 at any instant: the same command goes on, and nothing is lost or done twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import SCORES
from tests.acceptance.crashes import CALLS, Point, Survival, prepare, spread, sweep, trace

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

SAMPLED = {"open": 10, "write": 24, "sync": 14, "name": 12, "process": 4, "wait": 6}
EVERY = pytest.param(10_000, marks=pytest.mark.crash, id="every")


@pytest.fixture(name="points", scope="module")
def _points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    folder = tmp_path_factory.mktemp("calls")
    trace(prepare(folder / "warm"))
    return trace(prepare(folder / "counted"))
