"""A Python step for a cluster travels as one file; what it imports of the project would not be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.operators.slurm.imports import left_behind
from tests.unit.workshop import Workshop, python, recipe

STEP = """
from orchestrator import BaseScriptlet

class Write(BaseScriptlet):
    def work(self, ctx, params):
        return {"a.x_v1": 1}
"""


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("import helpers", ["helpers"]),
        ("import json, shared.units as units", ["shared.units"]),
        ("from shared.deep.units import METRE\nfrom shared.deep.units import FOOT", ["shared.deep.units"]),
        ("from beside import x", ["beside"]),
        ("from . import beside", ["."]),
        ("from .beside import x", [".beside"]),
        ("from scriptlets.steps.load_numbers import read_numbers", ["scriptlets.steps.load_numbers"]),
        ("from orchestrator.runner import run_recipe", ["orchestrator.runner"]),
        ("from orchestrator import plan", ["orchestrator.plan"]),
        ("import orchestrator.store.database", ["orchestrator.store.database"]),
    ],
)
def test_modules_of_the_project_stay_behind(tmp_path: Path, lines: str, left: list[str]) -> None:
    """Those beside the file, those below the root, and what of the program is not in the kit."""
    assert left_behind(file_in_a_project(tmp_path, lines), tmp_path) == left


@pytest.mark.parametrize(
    "lines",
    [
        "import json, numpy.linalg",
        "from notes import x",
        "import orchestrator\nfrom orchestrator import BaseScriptlet, context\nfrom orchestrator.log import get_logger",
        "import calendar",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helpers",
        "try:\n    import helpers\nexcept ImportError:\n    helpers = None",
        "def work():\n    import helpers",
    ],
)
def test_what_may_be_there_is_left_to_the_job(tmp_path: Path, lines: str) -> None:
    """What Python or the cluster has, and what the file itself does not always import as it is loaded."""
    assert left_behind(file_in_a_project(tmp_path, lines), tmp_path) == []


def file_in_a_project(root: Path, lines: str) -> Path:
    """Write a file of a project that has modules, and a folder without any."""
    for name in ("helpers.py", "shared/deep/units.py", "steps/beside.py", "steps/calendar.py", "notes/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    path = root / "steps/step.py"
    path.write_text(f"{lines}\n")
    return path


def wire(workshop: Workshop, backend: str) -> None:
    """Say what runs the steps."""
    workshop.write("workspaces/r/operators.yaml", f"operators: {{ hpc.a: {{ kind: hpc, backend: {{ {backend} }} }} }}")


def test_a_step_that_would_not_load_on_the_cluster_begins_no_run(workshop: Workshop) -> None:
    """Before anything is sent there, with the line of the module."""
    wire(workshop, "type: slurm, workspace_root: /scratch, dry_run: true")
    workshop.write("helpers.py", "")
    workshop.write("steps.py", f"import helpers\n{STEP}")

    (problem,) = workshop.refused(recipe(python("a"), python("b", keys="operator_key: hpc.a")))

    assert problem == "r.yaml:3:35: error[MS220]: steps.py imports helpers, which does not travel to 'hpc.a'"


@pytest.mark.parametrize(
    ("backend", "first"),
    [("type: local, dry_run: true", "import helpers"), ("type: slurm, workspace_root: /s, dry_run: true", "")],
)
def test_other_steps_run(workshop: Workshop, backend: str, first: str) -> None:
    """Those that stay here, and those that need nothing else."""
    wire(workshop, backend)
    workshop.write("helpers.py", "")
    workshop.write("steps.py", f"{first}\n{STEP}")

    assert workshop.run(recipe(python("a", keys="operator_key: hpc.a"))).states == ["COMPLETED"]
