"""Kill a command that goes on with a run, from one moment of the run and at each of its calls in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.acceptance.kills import Point, Survival, trace
from tests.acceptance.program import Project

Score = Callable[[list[Survival]], None]


def copied(project: Project, folder: Path) -> Project:
    """Give a copy of a project with its run."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder=folder)


def points_of(project: Project, folder: Path, words: tuple[str, ...], *ends: int) -> list[Point]:
    """Give the calls by which a command changes anything; the first time, it may still compile modules."""
    warm, counted = (copied(project, folder / name) for name in ("warm", "counted"))
    trace(warm, words, ends=ends)
    points = trace(counted, words, ends=ends)
    for each in (warm, counted):
        (each.folder / "go").touch()
    return [point for point in points if point.family != "wait"]


def sweep(survive: Callable[[Point], Survival], points: Iterable[Point]) -> list[Survival]:
    """Do it at each point in turn, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(survive, points))


def check(survivals: list[Survival]) -> None:
    """Nothing is wrong after any of the kills, and most of the chosen calls were reached."""
    assert [survival for survival in survivals if survival.faults] == []
    # How often an ended command is looked for depends on how fast it is, so a point may not be reached again.
    assert sum(survival.hit for survival in survivals) > len(survivals) / 2
