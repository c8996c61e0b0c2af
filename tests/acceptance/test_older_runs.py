"""Files of MatterStack 0.2.x become ours and lose nothing: with very many attempts, and where kill -9 comes between."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from orchestrator.files import TEMPORARY
from orchestrator.store.audit import history_fault
from orchestrator.store.database import APPLICATION_ID, open_database
from orchestrator.store.events import iterate_events
from orchestrator.store.queries import read_metrics, read_tasks
from tests.acceptance.kills import Point, kill, spread, trace
from tests.acceptance.program import Project, make_project
from tests.legacy import (
    RUNS,
    TEN_THOUSAND_OF_VERSION_1,
    TEN_THOUSAND_OF_VERSION_3,
    change,
    count_tasks_of,
    looking,
    put_run,
    rows_of,
)

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
versions = pytest.mark.parametrize("version", [1, 3])

STATUS = ("status", "--json")
SAMPLE = 16
PROCESSES = 6
RUNS_AT_ONCE = 24
MANY = {1: TEN_THOUSAND_OF_VERSION_1, 3: TEN_THOUSAND_OF_VERSION_3}
STATES = {"relax_cu": "COMPLETED", "relax_ni": "FAILED", "review": "COMPLETED", "report": "COMPLETED"}

Score = Callable[[list[list[str]]], None]


@pytest.fixture(name="score")
def _score(record_property: Callable[[str, object], None]) -> Score:
    """Give a function that records how many of the points at which a migration was killed it survived."""
    return lambda faults: record_property("points", (sum(not found for found in faults), len(faults)))


def prepare(folder: Path, version: int) -> Project:
    """Make a project that holds an older run."""
    project = make_project(folder)
    put_run(folder / "workspaces" / "legacy_demo" / "runs", version)
    return project


def state_of(project: Project) -> Path:
    """Give the state file of the one run."""
    (path,) = project.folder.glob("workspaces/*/runs/*/state.sqlite")
    return path


def points_of(folder: Path, version: int) -> list[Point]:
    """Give the calls by which a command changes anything, from the first that touches the run's directory on."""
    trace(prepare(folder / "warm", version), STATUS)
    return trace(prepare(folder / "counted", version), STATUS)


def is_ours(path: Path) -> bool:
    """Tell whether a file bears our mark."""
    with looking(path) as connection:
        return bool(connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,))


def faults_after(project: Project, point: Point, version: int) -> Iterator[str]:
    """Kill a command that brings a file up to date, give it again, and say what is wrong then."""
    path = state_of(project)
    before = rows_of(path)
    if kill(project, point, STATUS).status != -signal.SIGKILL:
        return
    yield from (f"left: {fault}" for fault in _lost(project.folder / "left", path, before))
    ended = project.call(*STATUS)
    if ended.status != 0:
        yield f"the next command ended with {ended.status}: {ended.stderr}"
        return
    if {task["task_id"]: task["status"] for task in ended.answer["tasks"]} != STATES:
        yield f"the tasks are {ended.answer['tasks']}"
    yield from _unlike_ours(path, before, version)


def _lost(folder: Path, path: Path, before: dict[str, list[tuple[object, ...]]]) -> Iterator[str]:
    """Look at a copy of what the killed command left: a whole file, with all rows that it had."""
    folder.mkdir()
    for file in path.parent.glob("state.sqlite*"):
        shutil.copy(file, folder)
    database = open_database(folder / path.name, readonly=True)
    if fault := history_fault(database):
        yield fault
    database.close()
    if after := rows_of(folder / path.name, prefix="legacy_" if is_ours(folder / path.name) else ""):
        yield from (f"rows of {table} differ" for table in before if after[table] != before[table])


def _unlike_ours(path: Path, before: dict[str, list[tuple[object, ...]]], version: int) -> Iterator[str]:
    if not is_ours(path):
        yield "the file is not ours"
        return
    database = open_database(path)
    (event,) = iterate_events(database)
    if json.loads(event.payload_json)["from_version"] != version:
        yield f"it does not remember what it was: {event.payload_json}"
    if fault := history_fault(database):
        yield fault
    database.close()
    kept, backup = rows_of(path, prefix="legacy_"), rows_of(path.with_name(f"state.sqlite.v{version}.bak"))
    yield from (f"rows of {table} differ" for table in before if not kept[table] == before[table] == backup[table])
    if leftovers := [file.name for file in path.parent.glob(f"{TEMPORARY}*")]:
        yield f"temporary files are left: {leftovers}"


@needs_strace
@versions
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])
def test_F7_a_killed_migration_is_made_good(version: int, every: bool, tmp_path: Path, score: Score) -> None:
    """Whichever call was about to be made, the file is whole, and the next command brings it up to date."""
    points = points_of(tmp_path / "traced", version)
    chosen = points if every else spread(points, SAMPLE)

    def faults(point: Point) -> list[str]:
        return [f"{point}: {fault}" for fault in faults_after(prepare(tmp_path / str(point), version), point, version)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(faults, chosen))

    score(found)
    assert [fault for each in found for fault in each] == []
    assert len(chosen) >= SAMPLE


@versions
def test_F24_ten_thousand_attempts_are_taken_over(version: int, tmp_path: Path) -> None:
    """Row counts and contents are equal in the tables that were kept, in the copy, and, by number, in ours."""
    path = put_run(tmp_path, version) / "state.sqlite"
    change(path, MANY[version])
    before = rows_of(path)

    database = open_database(path)

    used = read_metrics(database)
    assert len(read_tasks(database)) == len(before["tasks"])
    assert sum(task["attempts"] for task in used.values()) == 10_004
    assert history_fault(database) == ""
    database.close()
    kept, backup = rows_of(path, prefix="legacy_"), rows_of(path.with_name(f"state.sqlite.v{version}.bak"))
    assert [table for table in before if not kept[table] == before[table] == backup[table]] == []


def test_several_processes_at_once_agree(tmp_path: Path) -> None:
    """One of them brings a file up to date; the others wait for it, or read it as it was."""
    roots = [put_run(tmp_path / str(number), 1 + number % 4) for number in range(RUNS_AT_ONCE)]

    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        counts = list(pool.map(count_tasks_of, [root for root in roots for _ in range(PROCESSES)]))

    assert set(counts) == {len(STATES)}


def test_F23_a_later_schema_is_refused(tmp_path: Path) -> None:
    """The file is left byte for byte as it is, with nothing beside it."""
    project = prepare(tmp_path / "project", 3)
    path = state_of(project)
    change(path, "UPDATE schema_info SET value = '99'")
    before = path.read_bytes()

    ended = project.call("status", RUNS[3])

    assert (ended.status, "error[MS502]" in ended.stderr) == (6, True)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("state.sqlite?*"))
