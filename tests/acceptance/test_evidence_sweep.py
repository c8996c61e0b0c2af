"""An export survives kill -9 at any instant: the former evidence is there, or the new one, each whole."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from orchestrator.evidence.export import FOLDER
from orchestrator.files import TEMPORARY
from tests.acceptance.kills import CALLS, Point, Survival, kill, prepare, spread, trace
from tests.acceptance.program import Project

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

EXPORT = ("export-evidence", "@last")
SAMPLE = {"open": 6, "write": 6, "sync": 6, "name": 12}

extents = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """A project whose run has gone on since its evidence was exported; what that was, and what the next one will be."""

    project: Project
    former: dict[str, bytes]
    following: dict[str, bytes]
    points: list[Point]


def evidence(project: Project) -> dict[str, bytes]:
    """Give the files of the evidence of the one run."""
    folder = project.run_folders()[-1] / FOLDER
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(project: Project, folder: Path) -> Project:
    """Give a copy of a project with its run."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder=folder)


@pytest.fixture(name="exports", scope="module")
def _exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Run, export, go on with the run, and look at the next export in copies; the first one may still compile."""
    folder = tmp_path_factory.mktemp("exports")
    project = prepare(folder / "project")
    for words in (("run", "recipe.yaml"), EXPORT, ("rerun", "@last", "off")):
        assert project.call(*words).status == 0, words
    next_one = copied(project, folder / "next")
    points = trace(next_one, EXPORT)
    return Exports(project=project, former=evidence(project), following=evidence(next_one), points=points)


def survive(exports: Exports, folder: Path, point: Point) -> Survival:
    """Kill an export as it enters a call, look at what is there, and export once more."""
    project = copied(exports.project, folder / str(point))
    ended = kill(project, point, EXPORT)
    if ended.status == 0:
        return Survival(point=point, hit=False)
    found, faults = evidence(project), []
    if ended.status != -signal.SIGKILL:
        faults.append(f"ended with {ended.status}: {ended.stderr}")
    if found not in (exports.former, exports.following):
        faults.append(f"neither the former evidence nor the next one: {sorted(found)}")
    again = project.call(*EXPORT)
    if again.status != 0 or evidence(project) != exports.following:
        faults.append(f"the next export ended with {again.status}: {again.stderr}")
    if left := [path.name for path in project.folder.rglob(f"{TEMPORARY}*")]:
        faults.append(f"temporary files are left: {left}")
    shutil.rmtree(project.folder)
    return Survival(point=point, hit=True, faults=tuple(faults))


def sweep(run: Callable[[Point], Survival], points: Iterable[Point]) -> list[Survival]:
    """Do it at each point in turn, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, points))


@extents
@pytest.mark.parametrize("family", SAMPLE)
def test_F6_a_killed_export_leaves_a_whole_evidence(
    exports: Exports, family: str, every: bool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whichever call it was about to make, and the next export is not hindered."""
    of_family = [point for point in exports.points if point.family == family]

    points = of_family if every else spread(of_family, SAMPLE[family])
    survivals = sweep(partial(survive, exports, tmp_path), points)

    hits = [survival for survival in survivals if survival.hit]
    record_property("points", (sum(not survival.faults for survival in hits), len(hits)))
    assert [survival for survival in survivals if survival.faults] == []
    assert len(hits) == len(points) > 0


def test_the_two_evidences_differ(exports: Exports) -> None:
    """So that one is told from the other, and every kind of call that an export makes is tried."""
    assert exports.former != exports.following
    assert {point.family for point in exports.points} <= SAMPLE.keys() <= CALLS.keys()
