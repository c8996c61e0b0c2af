"""A command that submits to a cluster survives kill -9 at any of its calls: each attempt has one job."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import pytest

from tests.acceptance.kills import Point, Survival, kill, spread, trace
from tests.acceptance.moments import Score, check, sweep
from tests.acceptance.remains import see
from tests.acceptance.slurm_projects import SlurmProject, fake_project, real_project
from tests.hpc.stack import Centre, skip_unless_asked

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

# Two that ask for the same, and so are one submission, and one that is another.
STEPS = (
    {"name": "relax", "foreach": ["Cu", "Ni"]},
    {"name": "report", "resources": {"time_limit": "10m"}, "parallel": True},
)
EACH = {"stdout": "free", "run": "echo here >> out.txt", "fetch": {"required": ["out.txt"]}}
TASKS = ("relax[Cu]", "relax[Ni]", "report")
STEP = ("step", "@last")
WAITING = 5
SAMPLE, REAL_SAMPLE = 8, 4

Make = Callable[[Path], AbstractContextManager[SlurmProject]]


@contextmanager
def opened(make: Make, folder: Path) -> Iterator[SlurmProject]:
    """Give a project with an opened run."""
    with make(folder) as demo:
        demo.recipe(*({**EACH, **step} for step in STEPS))
        ended = demo.call("init", "demo")
        assert ended.status == 0, ended.stderr
        yield demo


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.crash)], ids=["some", "every"])
def test_F3_a_killed_submission_to_a_cluster_is_one_job(every: bool, tmp_path: Path, score: Score) -> None:
    """Whether the site has heard of it, has answered, or was about to be asked."""
    is_survived(fake_project, tmp_path, score, None if every else SAMPLE)


@pytest.mark.slurm
def test_F3_a_killed_submission_to_a_real_cluster_is_one_job(
    tmp_path: Path, centre: Centre, score: Score, request: pytest.FixtureRequest
) -> None:
    """As to the other one; all of its calls would take hours."""
    skip_unless_asked(request.config)
    turn = Lock()

    @contextmanager
    def make(folder: Path) -> Iterator[SlurmProject]:
        with turn, real_project(folder, centre) as demo:
            yield demo

    is_survived(make, tmp_path, score, REAL_SAMPLE)


def is_survived(make: Make, folder: Path, score: Score, sample: int | None) -> None:
    """Kill the command at so many of its calls, or at all, and check what comes of it."""
    with opened(make, folder / "warm") as demo:
        demo.call(*STEP)
    with opened(make, folder / "counted") as demo:
        points = [
            point for point in trace(demo.project, STEP, ends=(0, WAITING), env=demo.env) if point.family != "wait"
        ]

    survivals = sweep(partial(survive, make, folder), points if sample is None else spread(points, sample))

    score(survivals)
    check(survivals)


def survive(make: Make, folder: Path, point: Point) -> Survival:
    """Kill the command as it enters a call, go on to the end of the run, and say what is wrong then."""
    with opened(make, folder / str(point)) as demo:
        hit = kill(demo.project, point, STEP, env=demo.env).status == -signal.SIGKILL
        faults = tuple(gone_on(demo)) if hit else ()
    if not faults:
        shutil.rmtree(folder / str(point))
    return Survival(point=point, hit=hit, faults=faults)


def gone_on(demo: SlurmProject) -> Iterator[str]:
    """Drive the run to its end, and give what was submitted, carried out or fetched twice or not at all."""
    ended = demo.call("loop", "@last")
    if ended.status != 0 and not see(demo.project, "").told_its_end:
        yield f"the run ended with {ended.status}: {ended.stderr}"
        return
    states = {task: [attempt["status"] for attempt in demo.attempts(task)] for task in TASKS}
    if states != {task: ["COMPLETED"] for task in TASKS}:
        yield f"the attempts are {states}"
    results = [path.read_text() for path in demo.project.folder.rglob("out.txt")]
    if results != ["here\n"] * len(TASKS):
        yield f"the results are {results}"
    if len(jobs := demo.jobs()) != len(TASKS) or any(job.is_active for job in jobs):
        yield f"the jobs are {jobs}"
    if len(calls := demo.calls("sbatch")) != 2:
        yield f"sbatch was called with {calls}"
