"""Give tests a project to run the program in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.kills import Survival
from tests.acceptance.moments import Score
from tests.acceptance.program import Project, make_project
from tests.acceptance.slurm_projects import FakeProject, RealProject, SlurmProject, fake_project, real_project
from tests.hpc.stack import skip_unless_asked


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make an empty project."""
    return make_project(tmp_path / "project")


@pytest.fixture(name="score")
def _score(record_property: Callable[[str, object], None]) -> Score:
    """Give a function that records how many of the points at which a command was killed it survived."""

    def record(survivals: list[Survival]) -> None:
        hits = [survival for survival in survivals if survival.hit]
        record_property("points", (sum(not survival.faults for survival in hits), len(hits)))

    return record


# What of the real half runs with the other tests.
SAMPLE = {"test_slurm.py", "test_slurm_secrets.py", "test_slurm_submission.py"}


@pytest.fixture(name="demo", params=["fake", pytest.param("real", marks=pytest.mark.slurm)])
def _demo(request: pytest.FixtureRequest) -> SlurmProject:
    """Give a project on the cluster that is not there, and on the real one."""
    made: SlurmProject = request.getfixturevalue(f"{request.param}_demo")
    return made


@pytest.fixture(name="fake_demo")
def _fake_demo(tmp_path: Path) -> Iterator[FakeProject]:
    """Give a project on the cluster that is not there."""
    with fake_project(tmp_path) as made:
        yield made


@pytest.fixture(name="real_demo")
def _real_demo(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RealProject]:
    """Give a project on the real cluster; who asks for it carries the mark ``slurm``.

    Beside a sample, it is for those who ask for the mark.
    """
    if request.path.name not in SAMPLE:
        skip_unless_asked(request.config)
    with real_project(tmp_path, request.getfixturevalue("centre")) as made:
        yield made


@pytest.fixture(name="real_beta")
def _real_beta(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RealProject]:
    """Give a project on the other real cluster, whose arrays are small and whose kernel kills what takes too much."""
    skip_unless_asked(request.config)
    with real_project(tmp_path / "beta", request.getfixturevalue("centre"), "beta") as made:
        yield made
