"""A project that is moved as a whole goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.program import Project, make_project

RECIPE = """\
schema: matterstack/recipe/v1
steps:
  - { name: first, type: python, module: ./steps.py, function: First }
  - { name: second, type: python, module: ./steps.py, function: Second }
"""
STEPS = """\
import os, signal
from pathlib import Path

from orchestrator import BaseScriptlet


class First(BaseScriptlet):
    def work(self, ctx, params):
        with Path("calls.txt").open("a") as file:
            file.write("first ")
        return {"first.done_v1": True}


class Second(BaseScriptlet):
    def work(self, ctx, params):
        if not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"second.done_v1": str(Path.cwd())}
"""


@pytest.mark.parametrize("command", [("run", "recipes/r.yaml", "--isolation", "inline"), ("resume",)])
def test_an_interrupted_run_goes_on_in_the_new_place(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Neither the recipe's path nor the working directory of the run is that of the former place."""
    before = make_project(tmp_path / "before")
    before.write("recipes/r.yaml", RECIPE)
    before.write("recipes/steps.py", STEPS)
    assert before.call("run", "recipes/r.yaml", "--isolation", "inline").status == -9
    after = Project(folder=before.folder.rename(tmp_path / "after"))

    ended = after.call(*command)

    assert ended.status == 0, ended.stderr
    assert (after.folder / "calls.txt").read_text() == "first "
    (run_root,) = after.run_folders()
    assert json.loads(ended.stdout)["run_root"] == str(run_root)
    assert json.loads((run_root / "context.json").read_text())["second.done_v1"] == str(after.folder)
