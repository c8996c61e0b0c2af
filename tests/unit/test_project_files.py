"""The files around the code agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import orchestrator

ROOT = Path(__file__).resolve().parents[2]
RULE_LINE = re.compile(r'^ +"(?P<rule>[A-Z]+[0-9]*)",(?P<rest>.*)$', re.MULTILINE)

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture(name="project")
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout, untouched by a make that may be running these tests."""
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(["make", *words], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def pretend_installed(checkout: Path) -> None:
    """Leave behind what a finished installation does."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / ".stamp").touch()
    (checkout / ".venv" / ".stamp-dev").touch()


def test_requirements_are_the_dependencies(project: dict[str, Any]) -> None:
    """requirements.txt lists exactly what the distribution depends on."""
    listed = (ROOT / "requirements.txt").read_text().splitlines()

    assert listed == project["project"]["dependencies"]


def test_every_ignored_rule_has_its_reason(project: dict[str, Any]) -> None:
    """Each rule that the linter ignores stands on its own line with a reason beside it."""
    lint = project["tool"]["ruff"]["lint"]
    ignored = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]

    lines = RULE_LINE.findall((ROOT / "pyproject.toml").read_text())

    assert sorted(rule for rule, _ in lines) == sorted(ignored)
    assert [rule for rule, rest in lines if not re.fullmatch(r" +# \S.+", rest)] == []


def test_version_is_kept_in_one_place(project: dict[str, Any]) -> None:
    """The distribution reads its version from the package's own line."""
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text()

    assert project["project"]["dynamic"] == ["version"]
    assert f'__version__ = "{orchestrator.__version__}"' in source.splitlines()


def test_build_server_runs_the_command_of_the_readme() -> None:
    """What the README tells a reader to run is what the build server runs."""
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


@needs_make
def test_second_make_installs_nothing(checkout: Path) -> None:
    """A finished installation is up to date."""
    pretend_installed(checkout)

    answer = make(checkout, "-q", ".venv/.stamp", ".venv/.stamp-dev")

    assert answer.returncode == 0


@needs_make
def test_changed_requirements_are_installed(checkout: Path) -> None:
    """An installation older than requirements.txt is out of date."""
    pretend_installed(checkout)
    os.utime(checkout / ".venv" / ".stamp", (0, 0))

    answer = make(checkout, "-q", ".venv/.stamp")

    assert answer.returncode == 1


@needs_make
def test_make_refuses_a_machine_without_a_suitable_python(checkout: Path) -> None:
    """Where every interpreter is too old, make says which were tried and what to do."""
    answer = make(checkout, "PYTHON=false no-such-python", "test")

    assert "no Python 3.11 or newer found; looked for: false no-such-python" in answer.stderr
    assert "make PYTHON=/path/to/python3" in answer.stderr
    assert not (checkout / ".venv").exists()
