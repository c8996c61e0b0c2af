"""Kill the program as it enters a chosen system call, and let the same command go on."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.program import COMMAND, Ended, Project
from tests.acceptance.remains import Remains, loss_faults, run_faults, see

# By what they do. The waits change nothing, but then a step is at work.
CALLS = {
    "open": ("open", "openat", "creat"),
    "write": ("write", "writev", "pwrite64", "ftruncate"),
    "sync": ("fsync", "fdatasync"),
    "name": ("rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"),
    "process": ("clone", "clone3", "vfork"),
    "wait": ("epoll_wait", "epoll_pwait"),
}

INIT = ("init", "recipe.yaml")
_RUN = ("run", "recipe.yaml")
_RECIPE = Path(__file__).with_name("crash_recipe")
_CHANGING_OPEN = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th time that the runner makes a call."""

    call: str
    number: int

    @property
    def family(self) -> str:
        """Give what the call does."""
        return next(name for name, calls in CALLS.items() if self.call in calls)

    def __str__(self) -> str:
        """Give the form ``fsync-3``, which is a file's name too."""
        return f"{self.call}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What came of killing a run at a point: whether it came to that point, and all that was wrong afterwards."""

    point: Point
    hit: bool
    faults: tuple[str, ...] = ()


def prepare(folder: Path) -> Project:
    """Make a project with the recipe whose every step has an effect outside the run, and with one result kept."""
    shutil.copytree(_project_that_ran(), folder, ignore=shutil.ignore_patterns("__pycache__", "runs", "effects.txt"))
    return Project(folder=folder)


@functools.cache
def _project_that_ran() -> Path:
    """Run the recipe once, in a folder of its own that is removed at the end."""
    parent = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, parent)
    shutil.copytree(_RECIPE, parent / "ran", ignore=shutil.ignore_patterns("__pycache__"))
    ended = Project(folder=parent / "ran").call(*_RUN)
    assert ended.status == 0, ended.stderr
    return parent / "ran"


def trace(
    project: Project,
    words: Sequence[str] = _RUN,
    *,
    ends: Collection[int] = (0,),
    env: Mapping[str, str] | None = None,
) -> list[Point]:
    """Run the recipe, or another command, to its end; give the calls by which it changes anything, in their order.

    ``ends`` are the exit codes that it may end with.
    """
    log = project.folder / "trace.txt"
    calls = ",".join(f"?{call}" for calls in CALLS.values() for call in calls)
    strace = ("strace", "-qq", "-o", str(log), "-e", "signal=none", "-e", calls)
    ended = project.call(*words, command=[*strace, *COMMAND], env=env)
    assert ended.status in ends, ended.stderr
    return list(_changing(log.read_text(encoding="utf-8", errors="replace").splitlines()))


def kill(project: Project, point: Point, words: Sequence[str] = _RUN, *, env: Mapping[str, str] | None = None) -> Ended:
    """Run the recipe, or another command, and kill that process, and it alone, as it enters a call."""
    return _run_with(project, f"{point.call}:signal=KILL:when={point.number}", words, env or {})


def refuse(project: Project, point: Point, error: str) -> Ended:
    """Run the recipe and let the system answer one call of the runner, and of it alone, with an error."""
    return _run_with(project, f"{point.call}:error={error}:when={point.number}", _RUN)


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """Choose so many of the points, at even distances, or all where there are fewer."""
    chosen = min(count, len(points))
    return [points[index * len(points) // chosen] for index in range(chosen)]


def sweep(folder: Path, points: Iterable[Point], *, first: Point | None = None) -> list[Survival]:
    """Kill a run at each point in turn, each in a project of its own and two at a time, and let it go on.

    With ``first``, the run was killed there before, and what is killed at each point is its continuation.
    """
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda point: _survive(prepare(folder / str(point)), point, first), points))


def sweep_init(folder: Path, points: Iterable[Point]) -> list[Survival]:
    """Kill the opening of a run at each point in turn, and then open and run it by the same words."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda point: _survive_init(prepare(folder / str(point)), point), points))


def _survive_init(project: Project, point: Point) -> Survival:
    ended = kill(project, point, INIT)
    if ended.status == 0:
        return Survival(point=point, hit=False)
    if ended.status != -signal.SIGKILL:
        return Survival(point=point, hit=True, faults=(f"ended with {ended.status}: {ended.stderr}",))
    return Survival(point=point, hit=True, faults=tuple(_open_again(project, ended)))


def _open_again(project: Project, killed: Ended) -> Iterator[str]:
    """Go on with what is there, else open it anew, and say what is wrong then."""
    if killed.stdout and not project.run_folders():
        yield f"{killed.stdout} was told, and there is no run"
    if not project.run_folders() and (ended := project.call(*INIT)).status != 0:
        yield f"no run could be opened: {ended.stderr}"
        return
    (project.folder / "workspaces" / "recipe" / "operators.yaml").unlink()  # the run has kept what it says
    ended = project.call("loop", "@last")
    if ended.status != 0:
        yield f"the run ended with {ended.status}: {ended.stderr}"
        return
    if not (project.run_folders()[-1] / "operators_snapshot").exists():
        yield "the wiring was not kept"
    yield from run_faults(project, see(project, ended.stderr))


def _run_with(
    project: Project, inject: str, words: Sequence[str] = _RUN, env: Mapping[str, str] | None = None
) -> Ended:
    tampering = ("-e", f"trace={inject.partition(':')[0]}", "-e", f"inject={inject}")
    command = ["strace", "-qq", "-o", "/dev/null", *tampering, *COMMAND]
    return project.call(*words, command=command, env={**(env or {}), "PYTHONDONTWRITEBYTECODE": "1"})


def _changing(lines: Iterable[str]) -> Iterator[Point]:
    seen: Counter[str] = Counter()
    for line in lines:
        call = line.partition("(")[0]
        seen[call] += 1
        if call not in CALLS["open"] or _CHANGING_OPEN.search(line):
            yield Point(call, seen[call])


def _survive(project: Project, point: Point, first: Point | None) -> Survival:
    remains = []
    for each in (first, point) if first else (point,):
        ended = kill(project, each)
        if ended.status == 0:
            return Survival(point=point, hit=False)
        if ended.status != -signal.SIGKILL:
            return Survival(point=point, hit=True, faults=(f"ended with {ended.status}: {ended.stderr}",))
        if left := project.survivors():
            return Survival(point=point, hit=True, faults=(f"processes {left} outlived the runner",))
        remains.append(see(project, ended.stderr))
    return Survival(point=point, hit=True, faults=tuple(_go_on(project, remains)))


def _go_on(project: Project, remains: Sequence[Remains]) -> Iterator[str]:
    """Give the same command once more, and say what is wrong then."""
    ended = project.call(*_RUN)
    if ended.status != 0 or ended.answer["status"] != "ok":
        yield f"the next run ended with {ended.status}: {ended.stderr}"
        return
    if left := project.survivors():
        yield f"processes {left} outlived the run"
    seen = [*remains, see(project, ended.stderr)]
    yield from run_faults(project, seen[-1])
    for position, before in enumerate(remains, start=1):
        yield from loss_faults(before, next(after for after in seen[position:] if after.ended))
