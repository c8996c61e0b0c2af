"""Give tests a project to run the program in, and print the score of the crash sweep at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.program import Project

SCORES = pytest.StashKey[dict[str, tuple[int, int]]]()


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make an empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "matterstack.toml").touch()
    return Project(folder=folder)
