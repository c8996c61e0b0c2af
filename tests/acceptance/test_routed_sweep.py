"""Steps elsewhere, people and instruments survive kill -9 at any instant: each effect is there once."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from orchestrator.states import AttemptState
from tests.acceptance.kills import Point, Survival, kill, spread
from tests.acceptance.moments import Score, check, copied, end_faults, points_of, sweep
from tests.acceptance.program import Project, finish
from tests.acceptance.remains import Records, Remains, see

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
extents = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])

RECIPE = Path(__file__).with_name("routed_recipe")
STEP = ("step", "@last")
APPROVE = ("respond", "@last", "review", "--approve")
MEASURED = {"status": "COMPLETED", "data": {"yield": 0.5}}
ATTEMPTS = {"relax[Cu]": 1, "relax[Ni]": 1, "review": 1, "measure": 1, "report": 1, "power_off": 1}
ELSEWHERE = ATTEMPTS.keys() - {"review", "measure"}
WAITING, ALREADY_ANSWERED = 5, 2
SAMPLE_OF_SUBMITS, SAMPLE_OF_ANSWERS, SAMPLE_OF_COLLECTS, KILLS = 12, 6, 10, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """One run at three moments: opened, with all that it waits for under way, and with all of that ended."""

    opened: Project
    waiting: Project
    ended: Project


def attempt_folders(project: Project, task: str) -> list[Path]:
    """Give the directories of the attempts at a task."""
    (run,) = project.run_folders()
    return list((run / "tasks" / task / "attempts").glob("[!.]*"))


def has_ended(project: Project, task: str) -> bool:
    """Tell whether the commands of all attempts at a task have left their exit codes."""
    return all((folder / "exit_code").exists() for folder in attempt_folders(project, task))


def let_end(project: Project) -> None:
    """Let the commands that wait for a file end, and have the instrument answer."""
    (project.folder / "go").touch()
    for folder in attempt_folders(project, "measure"):
        (folder / "experiment_result.json").write_text(json.dumps(MEASURED))
    assert project.survivors() == []
    assert all(has_ended(project, task) for task in ("relax[Cu]", "relax[Ni]"))


@pytest.fixture(name="moments", scope="module")
def _moments(tmp_path_factory: pytest.TempPathFactory) -> Moments:
    """Make the three, each with nothing under way that a copy would share."""
    folder = tmp_path_factory.mktemp("moments")
    shutil.copytree(RECIPE, folder / "project")
    project = Project(folder=folder / "project")
    assert project.call("init", "recipe.yaml").status == 0
    opened = copied(project, folder / "opened")
    assert project.call(*STEP).status == WAITING
    let_end(project)
    waiting = copied(project, folder / "waiting")
    assert project.call(*APPROVE).status == 0
    return Moments(opened=opened, waiting=waiting, ended=project)


def survive(
    moment: Project, words: tuple[str, ...], go_on: Callable[[Project], Iterator[str]], folder: Path, point: Point
) -> Survival:
    """Kill a command as it enters a call, go on to the end of the run, and say what is wrong then."""
    project = copied(moment, folder / str(point))
    ended = kill(project, point, words)
    if ended.status != -signal.SIGKILL:
        shutil.rmtree(project.folder)
        return Survival(point=point, hit=False)
    before = see(project, ended.stderr)
    faults = (*go_on(project), *end_faults(project, before, partial(routed_faults, project)))
    if not faults:
        shutil.rmtree(project.folder)
    return Survival(point=point, hit=True, faults=faults)


def routed_faults(project: Project, new: Records, after: Remains) -> Iterator[str]:
    """Give what was attempted, done or laid out too often or not at all."""
    if {task: len(new.attempts_at(task)) for task in ATTEMPTS} != ATTEMPTS:
        yield f"there are other attempts: {new.attempts}"
    if wrong := {status for status in new.attempts.values() if status is not AttemptState.COMPLETED}:
        yield f"attempts are {wrong}"
    effects = {task: len(tokens) for (_, task), tokens in after.effects.items()}
    if effects != dict.fromkeys(ELSEWHERE, 1):
        yield f"the effects are {effects}"
    for task in ATTEMPTS:
        if len(attempt_folders(project, task)) != 1:
            yield f"{task} has the directories {attempt_folders(project, task)}"


def submit_and_answer(project: Project) -> Iterator[str]:
    """Give the same command again, and answer all that the run waits for."""
    if (ended := project.call(*STEP)).status != WAITING:
        yield f"the next step ended with {ended.status}: {ended.stderr}"
        return
    let_end(project)
    yield from answer(project)


def answer(project: Project) -> Iterator[str]:
    """Answer the question, or see that it is answered, and that there is one decision."""
    ended = project.call(*APPROVE)
    if ended.status not in (0, ALREADY_ANSWERED):
        yield f"the answer ended with {ended.status}: {ended.stderr}"
    (folder,) = attempt_folders(project, "review")
    found = [path.name for path in folder.glob("*response*")]
    if found != ["response.json"]:
        yield f"the decisions are {found}"


@needs_strace
@extents
def test_F2_a_killed_submission_goes_on(moments: Moments, every: bool, tmp_path: Path, score: Score) -> None:
    """Whichever call was about to be made, the next runner begins what was not begun, and nothing else."""
    points = points_of(moments.opened, tmp_path / "traced", STEP, WAITING)

    chosen = points if every else spread(points, SAMPLE_OF_SUBMITS)
    survivals = sweep(partial(survive, moments.opened, STEP, submit_and_answer, tmp_path), chosen)

    score(survivals)
    check(survivals)


@needs_strace
@extents
def test_F5_a_killed_answer_is_one_decision(moments: Moments, every: bool, tmp_path: Path, score: Score) -> None:
    """The same command once more gives the answer, or says that it was given."""
    points = points_of(moments.waiting, tmp_path / "traced", APPROVE, 0)

    chosen = points if every else spread(points, SAMPLE_OF_ANSWERS)
    survivals = sweep(partial(survive, moments.waiting, APPROVE, answer, tmp_path), chosen)

    score(survivals)
    check(survivals)


@needs_strace
@extents
def test_F4_a_killed_collection_goes_on(moments: Moments, every: bool, tmp_path: Path, score: Score) -> None:
    """What had ended is collected by the next runner; what was about to begin behind it begins once."""
    # What begins behind the collected steps ends at once, so a slow enough runner collects that too.
    points = points_of(moments.ended, tmp_path / "traced", STEP, WAITING, 0)

    chosen = points if every else spread(points, SAMPLE_OF_COLLECTS)
    survivals = sweep(partial(survive, moments.ended, STEP, lambda _: iter(()), tmp_path), chosen)

    score(survivals)
    check(survivals)


@pytest.mark.parametrize("runs", [1, pytest.param(40, marks=pytest.mark.crash)], ids=["some", "many"])
def test_F8_runners_that_are_killed_at_random_finish_together(
    moments: Moments, runs: int, tmp_path: Path, score: Score
) -> None:
    """Also while threads of operators are at work, whichever of them makes a call."""
    moment = random.Random(8)  # noqa: S311  no secret

    survivals = [killed_at_random(copied(moments.opened, tmp_path / str(run)), moment) for run in range(runs)]

    score(survivals)
    assert [survival for survival in survivals if survival.faults] == []


def killed_at_random(project: Project, moment: random.Random) -> Survival:
    """Kill one runner after another, before and after the answers; let the last one end the run."""
    before = see(project, "")
    kill_runners(project, moment)
    faults = [*submit_and_answer(project)]
    kill_runners(project, moment)
    faults += end_faults(project, before, partial(routed_faults, project))
    return Survival(point=Point("random", 2 * KILLS), hit=True, faults=tuple(faults))


def kill_runners(project: Project, moment: random.Random) -> None:
    """Start and kill some, as far as there is something left to do."""
    for _ in range(KILLS):
        runner = project.start("loop", "@last")
        time.sleep(moment.uniform(0.25, 0.6))
        runner.kill()
        finish(runner)
