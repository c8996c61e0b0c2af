"""When the machine refuses a call, the run stops in order, says what was refused, and goes on later without loss."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.kills import Point, prepare, refuse, spread, trace
from tests.acceptance.program import COMMAND, Project
from tests.acceptance.remains import loss_faults, run_faults, see

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

RUN = ("run", "recipe.yaml")
SAMPLE = 4


@pytest.fixture(name="points", scope="module")
def _points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    """Trace the second run: the first one may still compile modules."""
    folder = tmp_path_factory.mktemp("traced")
    trace(prepare(folder / "warm"))
    return trace(prepare(folder / "counted"))


def faults_after(project: Project, point: Point, error: str) -> list[str]:
    """Refuse one call of a run, give the same command again, and give all that is wrong then."""
    refused = refuse(project, point, error)
    if refused.status not in {0, 6}:
        return [f"{point} ended with {refused.status}: {refused.stderr}"]
    before = see(project, refused.stderr)
    if before.ended:
        return list(run_faults(project, before, has_cache=False))
    again = project.call(*RUN)
    after = see(project, again.stderr)
    return [*loss_faults(before, after), *run_faults(project, after, has_cache=False)]


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        ("EIO", {"fsync", "fdatasync"}),
        ("ENOSPC", {"pwrite64"}),
        ("EDQUOT", {"mkdir", "rename"}),
        ("EACCES", {"openat", "mkdir", "rename", "unlink"}),
        ("EROFS", {"openat"}),
        ("EAGAIN", {"clone", "clone3", "vfork"}),
    ],
)
def test_a_refused_call_loses_nothing(points: list[Point], error: str, calls: set[str], tmp_path: Path) -> None:
    """The run ends well or with exit status 6, and the same command then goes on as if nothing had been."""
    chosen = spread([point for point in points if point.call in calls], SAMPLE)

    faults = {str(point): faults_after(prepare(tmp_path / str(point)), point, error) for point in chosen}

    assert {point: found for point, found in faults.items() if found} == {}


def test_a_refusal_names_the_file(points: list[Point], tmp_path: Path) -> None:
    """The message says which file could not be written and why, and what to do."""
    project = prepare(tmp_path / "full")
    written = next(point for point in points if point.call == "write")

    ended = refuse(project, written, "ENOSPC")

    assert ended.status == 6
    assert "error[MS601]: cannot write " in ended.stderr
    assert "recipe.yaml: no space left on device" in ended.stderr
    assert "= help: check space" in ended.stderr


def test_calls_that_are_cut_short_are_made_again(tmp_path: Path) -> None:
    """A storm of interrupted calls changes nothing."""
    project = prepare(tmp_path / "storm")
    storm = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=write,pwrite64,epoll_wait:error=EINTR:when=1+7"]

    ended = project.call(*RUN, command=[*storm, *COMMAND])

    assert ended.status == 0, ended.stderr
    assert list(run_faults(project, see(project, ended.stderr))) == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
@pytest.mark.parametrize("limit", ["--nofile=24", "--fsize=65536"])
def test_tight_limits_lose_nothing(limit: str, tmp_path: Path) -> None:
    """With few open files or small ones allowed, a run ends well or stops, and goes on without the limit."""
    project = prepare(tmp_path / "tight")

    limited = project.call(*RUN, command=["prlimit", limit, *COMMAND])
    before = see(project, limited.stderr)
    again = project.call(*RUN)

    assert (limited.status in {0, 6}, again.status) == (True, 0)
    assert list(loss_faults(before, see(project, again.stderr))) == []
