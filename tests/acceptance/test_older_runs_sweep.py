"""A run of MatterStack 0.2.x goes on after kill -9 at any instant: nothing of it is lost, and nothing is done twice."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from orchestrator.states import AttemptState
from orchestrator.store.database import open_database
from orchestrator.store.events import iterate_events
from orchestrator.store.queries import read_attempts
from tests.acceptance.kills import Point, Survival, kill, spread
from tests.acceptance.moments import Score, check, copied, end_faults, points_of, sweep
from tests.acceptance.program import Project, make_project
from tests.acceptance.remains import Records, Remains, see
from tests.legacy import ATTEMPTS, change, put_run, rows_of

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
versions = pytest.mark.parametrize("version", [1, 3])
extents = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])

STEP = ("step", "@last")
RESUME = ("resume", "@last")
APPROVE = ("respond", "@last", "review", "--approve")
WAITING, ALREADY_ANSWERED = 5, 2
SAMPLE_OF_FIRST, SAMPLE_OF_LAST = 8, 6
WIRING = "operators:\n  hpc.default: { kind: hpc, backend: { type: local } }\n  human.default: { kind: human }\n"
# What the runner of the earlier program left: one task behind a question that is open, one that it never began, and one
# whose job it had handed to a scheduler.
LEFT = """
UPDATE runs SET status = 'RUNNING';
UPDATE tasks SET status = 'PENDING', command = 'echo run report x >> "$EFFECTS"' WHERE task_id = 'report';
UPDATE tasks SET status = 'RUNNING', command = 'echo run relax_ni x >> "$EFFECTS"' WHERE task_id = 'relax_ni';
UPDATE tasks SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review';
UPDATE tasks SET env = json_set(env, '$.EFFECTS', '{effects}') WHERE task_id IN ('report', 'relax_ni');
DELETE FROM {attempts} WHERE task_id = 'report';
UPDATE {attempts} SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review';
UPDATE {attempts} SET status = 'SUBMITTED', external_id = '4711' WHERE task_id = 'relax_ni';
"""
UNTIMED = "UPDATE task_attempts SET ended_at = NULL WHERE status IN ('SUBMITTED', 'WAITING_EXTERNAL');"
# What became of every attempt, oldest first.
ENDS = {
    "relax_cu": [AttemptState.COMPLETED],
    "relax_ni": [AttemptState.LOST, AttemptState.COMPLETED],
    "review": [AttemptState.COMPLETED],
    "report": [AttemptState.COMPLETED],
}
EFFECTS = {("run", "relax_ni"): ["x"], ("run", "report"): ["x"]}

GoOn = Callable[[Project], Iterator[str]]


def left_behind(folder: Path, version: int) -> Project:
    """Make a project with a run that a runner of that version left half-way, brought to our schema."""
    project = make_project(folder)
    project.write("workspaces/legacy_demo/operators.yaml", WIRING)
    root = put_run(folder / "workspaces" / "legacy_demo" / "runs", version)
    shutil.rmtree(root / "tasks" / "report", ignore_errors=True)
    for answer in root.rglob("response.json"):
        answer.unlink()
    # From the directory of an attempt, which lies below that of its run.
    effects = "../" * 8 + "effects.txt"
    sql = LEFT.format(attempts=ATTEMPTS[version], effects=effects) + (UNTIMED if version > 1 else "")
    change(root / "state.sqlite", sql)
    assert project.call("status", "@last").status == 0
    return project


def survive(moment: Project, words: tuple[str, ...], go_on: GoOn, folder: Path, point: Point) -> Survival:
    """Kill a command as it enters a call, go on to the end of the run, and say what is wrong then."""
    project = copied(moment, folder / str(point))
    ended = kill(project, point, words)
    if ended.status != -signal.SIGKILL:
        shutil.rmtree(project.folder)
        return Survival(point=point, hit=False)
    before = see(project, ended.stderr)
    look = partial(older_faults, project, rows_of(state_of(moment), prefix="legacy_"))
    faults = (*go_on(project), *end_faults(project, before, look))
    if not faults:
        shutil.rmtree(project.folder)
    return Survival(point=point, hit=True, faults=faults)


def state_of(project: Project) -> Path:
    """Give the state file of the one run."""
    (run,) = project.run_folders()
    return run / "state.sqlite"


def step_and_answer(project: Project) -> Iterator[str]:
    """Give the same command again until the question alone is open, and answer it."""
    ended = project.call(*STEP)
    if ended.status != WAITING:
        yield f"the next step ended with {ended.status}: {ended.stderr}"
    ended = project.call(*APPROVE)
    if ended.status not in (0, ALREADY_ANSWERED):
        yield f"the answer ended with {ended.status}: {ended.stderr}"


def nothing_more(_: Project) -> Iterator[str]:
    """Leave the run as the killed command left it."""
    yield from ()


def older_faults(
    project: Project, former: dict[str, list[tuple[object, ...]]], new: Records, after: Remains
) -> Iterator[str]:
    """Give what was attempted or done too often or not at all, and what was inherited otherwise than once."""
    if {task: new.attempts_at(task) for task in ENDS} != ENDS:
        yield f"the attempts are {new.attempts}"
    if after.effects != EFFECTS:
        yield f"the effects are {after.effects}"
    if rows_of(state_of(project), prefix="legacy_") != former:
        yield "rows of the earlier program differ"
    database = open_database(state_of(project), readonly=True)
    kinds = [event.kind for event in iterate_events(database)]
    folders = {row.relative_path for task in ENDS for row in read_attempts(database, task)}
    database.close()
    if (kinds.count("run.migrated"), kinds.count("run.inherited")) != (1, 1):
        yield f"the events are {kinds}"
    (run,) = project.run_folders()
    made = {str(path.relative_to(run)) for path in run.glob("tasks/*/attempts/[!.]*")}
    if not made <= folders:
        yield f"there are folders of no attempt: {made - folders}"


@versions
@extents
def test_F7_an_older_run_goes_on_after_a_killed_step(version: int, every: bool, tmp_path: Path, score: Score) -> None:
    """Whichever call was about to be made, it has one recipe, and what was left open is settled once."""
    moment = left_behind(tmp_path / "left", version)
    points = points_of(moment, tmp_path / "traced", STEP, WAITING)

    chosen = points if every else spread(points, SAMPLE_OF_FIRST)
    survivals = sweep(partial(survive, moment, STEP, step_and_answer, tmp_path), chosen)

    score(survivals)
    check(survivals)


@versions
@extents
def test_F7_an_older_run_goes_on_after_a_killed_resume(version: int, every: bool, tmp_path: Path, score: Score) -> None:
    """The answer to the question of the earlier program counts once, and what waited for it begins once."""
    moment = left_behind(tmp_path / "left", version)
    assert [*step_and_answer(moment)] == []
    points = points_of(moment, tmp_path / "traced", RESUME, 0)

    chosen = points if every else spread(points, SAMPLE_OF_LAST)
    survivals = sweep(partial(survive, moment, RESUME, nothing_more, tmp_path), chosen)

    score(survivals)
    check(survivals)
