"""A run survives kill -9 at any instant: the same command goes on, and nothing is lost or done twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.kills import CALLS, INIT, Point, kill, prepare, spread, sweep, sweep_init, trace
from tests.acceptance.moments import Score

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

SAMPLE = {"open": 10, "write": 24, "sync": 14, "name": 12, "process": 1, "wait": 6}
SAMPLE_OF_CONTINUATION = 12
SAMPLE_OF_INIT = 12

extents = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])


@pytest.fixture(name="points", scope="module")
def _points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    """Trace the second run: the first one may still compile modules."""
    folder = tmp_path_factory.mktemp("traced")
    trace(prepare(folder / "warm"))
    return trace(prepare(folder / "counted"))


@extents
@pytest.mark.parametrize("family", CALLS)
def test_a_killed_run_goes_on(points: list[Point], family: str, every: bool, tmp_path: Path, score: Score) -> None:
    """Whichever call the runner was about to make, no step that had ended runs again and none is lost."""
    of_family = [point for point in points if point.family == family]

    survivals = sweep(tmp_path, of_family if every else spread(of_family, SAMPLE[family]))

    score(survivals)
    assert [survival for survival in survivals if survival.faults] == []
    # How often the runner waits depends on how fast the steps are, so a point may not be reached again.
    assert sum(survival.hit for survival in survivals) > len(survivals) / 2


@extents
def test_a_continuation_that_is_killed_goes_on(points: list[Point], every: bool, tmp_path: Path, score: Score) -> None:
    """A run that was killed half-way and again while it went on comes to its end all the same."""
    syncs = [point for point in points if point.family == "sync"]
    first = syncs[len(syncs) // 2]
    traced = prepare(tmp_path / "traced")
    kill(traced, first)
    continuation = trace(traced)

    survivals = sweep(tmp_path, continuation if every else spread(continuation, SAMPLE_OF_CONTINUATION), first=first)

    score(survivals)
    assert [survival for survival in survivals if survival.faults] == []


@extents
def test_F1_an_opening_that_is_killed_leaves_a_run_or_none(every: bool, tmp_path: Path, score: Score) -> None:
    """Whichever call init was about to make, the next one opens a run that goes by the wiring of then."""
    changes = [point for point in trace(prepare(tmp_path / "traced"), INIT) if point.family != "wait"]

    survivals = sweep_init(tmp_path, changes if every else spread(changes, SAMPLE_OF_INIT))

    score(survivals)
    assert [survival for survival in survivals if survival.faults] == []
    assert sum(survival.hit for survival in survivals) > len(survivals) / 2


def test_every_family_of_calls_is_tried(points: list[Point]) -> None:
    """The runner makes calls of every family, and the sample has sixty of them or more."""
    counts = {family: sum(point.family == family for point in points) for family in CALLS}

    assert [family for family, count in counts.items() if count == 0] == []
    assert sum(min(count, SAMPLE[family]) for family, count in counts.items()) >= 60
