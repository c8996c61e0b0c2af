"""Another distribution's backend is wired where the project allows it by name and version, and is not loaded else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.sources import Source
from orchestrator.wiring.reading import Wiring, read_wiring
from tests.unit.wiring.distribution import install

ROBOT = "operators:\n  hpc.default: { kind: hpc, backend: { type: robot, arm: left } }\n"
ALLOWED = '[plugins]\nallow = ["lab-robots==1.2"]\n'


@pytest.fixture(name="mark")
def _mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the distribution; give the file that tells that it was imported."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.delitem(sys.modules, "lab_robots", raising=False)
    return install(tmp_path / "site-packages")


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """Make a project that allows the distribution, with a workspace."""
    (tmp_path / "project" / "workspaces" / "lab").mkdir(parents=True)
    (tmp_path / "project" / "matterstack.toml").write_text(ALLOWED)
    return tmp_path / "project"


def read(project: Path, text: str = ROBOT) -> Wiring:
    """Read a wiring as one of the project's workspace."""
    return read_wiring(Source.from_text("operators.yaml", text), project / "workspaces" / "lab")


def wrong(project: Path, text: str = ROBOT) -> tuple[str, str]:
    """Give the first thing that is wrong with a wiring, and what to do."""
    with pytest.raises(InvalidFileError) as caught:
        read(project, text)
    return caught.value.problems[0].message, caught.value.problems[0].help


def test_a_backend_that_the_project_allows_is_wired(mark: Path, project: Path) -> None:
    """However the name of its distribution is written."""
    wired = read(project).operators["hpc.default"]

    assert (wired.backend.type, wired.is_idle, mark.exists()) == ("robot", False, True)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text", ["", '[plugins]\nallow = ["lab-robots==1.1"]\n', '[plugins]\nallow = ["robots==1.2"]\n']
)
def test_H7_a_backend_that_nobody_allows_is_not_loaded(mark: Path, project: Path, text: str) -> None:  # noqa: N802  row of the fault matrix
    """Nor one of another version; what to add is told."""
    (project / "matterstack.toml").write_text(text)

    message, todo = wrong(project)

    assert message == "backend 'robot' comes from the distribution lab-robots==1.2, which the project does not allow"
    assert todo == f'write into {project}/matterstack.toml: [plugins] allow = ["lab-robots==1.2"]'
    assert not mark.exists()


def test_H7_an_allowed_one_of_the_same_type_is_not_the_other(mark: Path, project: Path, tmp_path: Path) -> None:  # noqa: N802  see above
    """Who brings the type too, and is not allowed, is not loaded."""
    other = tmp_path / "site-packages" / "evil-9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 9\n")
    (other / "entry_points.txt").write_text("[matterstack.operators]\nrobot = evil:Robot\nlocal = evil:Robot\n")

    assert read(project).operators["hpc.default"].plugin.__module__ == "lab_robots"
    local = "operators: { local.default: { kind: local, backend: { type: local } } }"
    assert read(project, local).operators["local.default"].plugin is None


def test_its_keys_are_those_of_its_model(mark: Path, project: Path) -> None:
    """Faults are told as those of other backends."""
    text = ROBOT.replace("arm: left", "arm: left, speed: 2")

    assert wrong(project, text)[0] == "unknown key 'speed'"


def test_it_belongs_to_the_kinds_that_it_names(mark: Path, project: Path) -> None:
    """No other kind of operator has it."""
    text = ROBOT.replace("hpc", "experiment")

    assert wrong(project, text)[0] == "experiment operators have no backend 'robot'"


@pytest.mark.parametrize("text", ["import nowhere_at_all\n", "RobotPlugin = 5\n", "class RobotPlugin: kinds = ()\n"])
def test_what_is_no_operator_is_told(tmp_path: Path, project: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not met later, as an error of the program."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.delitem(sys.modules, "lab_robots", raising=False)
    install(tmp_path / "site-packages", module=text)

    assert wrong(project)[0].startswith("lab_robots:RobotPlugin of lab-robots==1.2 ")


@pytest.mark.parametrize("allow", ['"all"', "[5]", '["lab-robots"]', '["lab-robots>=1"]'])
def test_only_distributions_with_their_versions_can_be_allowed(mark: Path, project: Path, allow: str) -> None:
    """So that an upgrade is looked at before it runs."""
    (project / "matterstack.toml").write_text(f"[plugins]\nallow = {allow}\n")

    assert wrong(project)[0].endswith("[plugins] allow is not a list of distributions with their versions")
