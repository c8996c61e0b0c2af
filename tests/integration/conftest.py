"""Give tests a project to run the program in, and a checkout that nobody has installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.program import ROOT, Project, make_project

PARTS = ("orchestrator", "scriptlets", "recipes", "data")


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make an empty project."""
    return make_project(tmp_path / "project")


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Project:
    """Copy what a checkout holds; compiled modules come along, since they are valid there too."""
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part)
    return Project(folder=tmp_path / "checkout")
