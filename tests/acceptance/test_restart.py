"""A run of very many attempts whose runner was killed is shown as it stands, and goes on with what is left."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.chains import HERE
from benchmarks.restart import make_killed_run, recipe_text
from tests.acceptance.program import Project, make_project

DONE = 5000
LEFT = 7
ALL = DONE + 1 + LEFT


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make a project with a run that was killed when its 5,001st task of 5,008 was under way."""
    project = make_project(tmp_path / "project")
    shutil.copy(HERE / "steps" / "note.py", project.folder)
    recipe = project.write("fan.yaml", recipe_text(ALL, project.folder / "log"))
    make_killed_run(recipe, project.folder / "workspaces", DONE, LEFT)
    return project


def test_F47_the_status_of_very_many_attempts_counts_them(project: Project) -> None:
    """The step that fanned out is under way beside its item; nobody drives them."""
    status = project.call("status", "--json").answer
    assert (status["status"], status["driven"]) == ("RUNNING", False)
    assert status["task_counts"] == {"COMPLETED": DONE, "PENDING": LEFT, "RUNNING": 2}
    shown = [row["task"] for row in project.call("status").table]
    assert shown == ["each", f"each[{DONE}]"]


def test_F47_very_many_attempts_go_on_with_what_is_left(project: Project) -> None:
    """What had succeeded is not run again; what was under way is, under the next number."""
    resumed = project.call("resume", "-q", "-j", "2")
    assert resumed.status == os.EX_OK, resumed.stderr
    ran = Counter(int(line.split()[1]) for line in (project.folder / "log").read_text(encoding="utf-8").splitlines())
    assert ran == dict.fromkeys(range(DONE, ALL), 1)
    status = project.call("status", "--json").answer
    assert status["task_counts"] == {"COMPLETED": ALL + 1}
    attempts = {row["task_id"]: row["attempts"] for row in status["tasks"] if row["attempts"] != 1}
    assert attempts == {"each": 0, f"each[{DONE}]": 2}
    values = project.call("ctx", "get", "@last", "bench.n_v1").answer
    assert values == {str(n): n for n in range(ALL)}


def test_F47_very_many_attempts_are_exported(project: Project) -> None:
    """The history of the run that goes on is whole: otherwise it would not be exported."""
    project.call("resume", "-q")
    exported = project.call("export-evidence", "@last")
    assert exported.status == os.EX_OK, exported.stderr
