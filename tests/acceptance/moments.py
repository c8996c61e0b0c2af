"""Kill a command that goes on with a run, from one moment of the run and at each of its calls in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.files import TEMPORARY
from orchestrator.states import RunState
from tests.acceptance.kills import Point, Survival, trace
from tests.acceptance.program import Project
from tests.acceptance.remains import Records, Remains, see

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


def end_faults(project: Project, before: Remains, look: Callable[[Records, Remains], Iterator[str]]) -> Iterator[str]:
    """Drive a run to its end, export its evidence, and give what was lost, done twice or left behind.

    ``look`` gives what is wrong with its records beside what is wrong with those of any run.
    """
    ended = project.call("loop", "@last")
    if ended.status != 0 and not see(project, "").told_its_end:
        yield f"the run ended with {ended.status}: {ended.stderr}"
        return
    after = see(project, ended.stderr)
    old, new = before.records, after.records
    if old is None or new is None:
        yield "there is no run"
    else:
        yield from _record_faults(old, new)
        yield from look(new, after)
    if left := project.survivors():
        yield f"processes {left} outlived the run"
    if leftovers := [path.name for path in project.folder.rglob(f"{TEMPORARY}*")]:
        yield f"temporary files are left: {leftovers}"
    if (exported := project.call("export-evidence", "@last")).status != 0:
        yield f"the export ended with {exported.status}: {exported.stderr}"


def _record_faults(old: Records, new: Records) -> Iterator[str]:
    if new.damage or new.status is not RunState.COMPLETED:
        yield f"the run is {new.status} {new.damage}"
    if new.events[: len(old.events)] != old.events:
        yield "events were lost"


def check(survivals: list[Survival]) -> None:
    """Nothing is wrong after any of the kills, and most of the chosen calls were reached."""
    faulty = [survival for survival in survivals if survival.faults]
    assert not faulty, faulty
    # How often an ended command is looked for depends on how fast it is, so a point may not be reached again.
    assert sum(survival.hit for survival in survivals) > len(survivals) / 2
