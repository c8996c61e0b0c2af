"""A Python step that an operator carries out travels with the modules of its project that it imports."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from orchestrator.errors import ScriptletError
from orchestrator.operators.imports import Imports
from orchestrator.operators.staging import source_of
from tests.unit.operators.other_user import ADA, being
from tests.unit.workshop import Workshop, python, recipe

STEP = """
from orchestrator import BaseScriptlet

class Write(BaseScriptlet):
    def work(self, ctx, params):
        return {"a.x_v1": 1}
"""


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        ("import helpers", ["helpers.py"]),
        ("import json, shared.units as units", ["shared/__init__.py", "shared/units.py"]),
        ("from shared import units, nothing", ["shared/__init__.py", "shared/units.py"]),
        ("from deep.down import metre\nfrom deep.down.metre import M", ["deep/down/metre.py"]),
        ("from . import beside", ["scriptlets/__init__.py", "scriptlets/mine/beside.py"]),
        ("from .beside import x", ["scriptlets/__init__.py", "scriptlets/mine/beside.py"]),
        ("from ..mine import beside", ["scriptlets/__init__.py", "scriptlets/mine/beside.py"]),
        ("def work():\n    import helpers", ["helpers.py"]),
        ("try:\n    import helpers\nexcept ImportError:\n    pass", ["helpers.py"]),
        (
            "try:\n    pass\nexcept OSError:\n    import helpers\nfinally:\n    import shared",
            ["helpers.py", "shared/__init__.py"],
        ),
        (
            "class A:\n  for x in y:\n    pass\n  else:\n    match x:\n      case 1:\n        import helpers",
            ["helpers.py"],
        ),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helpers", ["helpers.py"]),
        ("import chain", ["chain.py", "helpers.py", "shared/__init__.py", "shared/ring.py"]),
        ("import broken", ["broken.py"]),
        ("import endless", ["endless.py"]),
        ("from starry import *", ["helpers.py", "starry/__init__.py", "starry/one.py", "starry/two.py"]),
        (
            "from scriptlets.steps.load_numbers import read_numbers",
            ["scriptlets/__init__.py", "scriptlets/steps/__init__.py", "scriptlets/steps/load_numbers.py"],
        ),
    ],
)
def test_modules_of_the_project_travel(tmp_path: Path, lines: str, places: list[str]) -> None:
    """With the packages around them, and with what they import in turn; a project may have packages without a file."""
    imports = Imports(file_in_a_project(tmp_path, lines), "scriptlets.mine.step", tmp_path)

    assert sorted(imports.files) == places
    assert imports.missing == []


def test_what_is_not_always_loaded_may_need_what_cannot_travel(tmp_path: Path) -> None:
    """Unless it is loaded in another way too."""
    maybe = "try:\n    import needy\nexcept ImportError:\n    needy = None"

    seldom = Imports(file_in_a_project(tmp_path, maybe), "scriptlets.mine.step", tmp_path).missing
    path = file_in_a_project(tmp_path, f"{maybe}\nimport eager")
    always = Imports(path, "scriptlets.mine.step", tmp_path).missing

    assert seldom == []
    assert always == ["orchestrator.store (in needy.py)"]


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ("from orchestrator.runner import run_recipe", "orchestrator.runner"),
        ("from orchestrator import plan", "orchestrator.plan"),
        ("import orchestrator.store.database", "orchestrator.store.database"),
        ("import needy", "orchestrator.store (in needy.py)"),
        ("from shared import needed", "orchestrator.store (in needed.py)"),
        ("import beside", "beside"),
        ("from .... import beside", "...."),
    ],
)
def test_some_cannot_travel(tmp_path: Path, lines: str, missing: str) -> None:
    """What of the program is not in the kit, and what is not found from the root."""
    assert Imports(file_in_a_project(tmp_path, lines), "scriptlets.mine.step", tmp_path).missing == [missing]


def test_what_lies_beside_a_file_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the program was started in that folder, from which Python imports then."""
    path = file_in_a_project(tmp_path, "import beside")
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend("")

    assert Imports(path, "scriptlets.mine.step", tmp_path).missing == ["beside"]


def test_what_is_installed_is_meant_before_the_project_s_own(tmp_path: Path) -> None:
    """As where the runner is; the cluster has to have it too."""
    path = file_in_a_project(tmp_path, "import yaml, helpers")
    (tmp_path / "yaml.py").touch()

    assert sorted(Imports(path, "scriptlets.mine.step", tmp_path).files) == ["helpers.py"]


def test_a_project_that_is_on_the_path_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules travel, as where it was installed to be edited; nor is what else `PYTHONPATH` names."""
    path = file_in_a_project(tmp_path, "import helpers")
    (tmp_path / "else").mkdir()
    (tmp_path / "else/helpers.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "else"))

    assert sorted(Imports(path, "scriptlets.mine.step", tmp_path).files) == ["helpers.py"]


def test_a_file_without_a_package_has_no_relative_imports(tmp_path: Path) -> None:
    """As where the runner is."""
    imports = Imports(file_in_a_project(tmp_path, "from . import beside"), "matterstack_step_1", tmp_path)

    assert (dict(imports.files), imports.missing) == ({}, ["."])


def test_a_file_that_is_gone_imports_nothing(tmp_path: Path) -> None:
    """Whoever takes it along tells of it."""
    imports = Imports(tmp_path / "step.py", "scriptlets.mine.step", tmp_path)

    assert (dict(imports.files), imports.missing) == ({}, [])


@pytest.mark.parametrize(
    "lines",
    [
        "import json, numpy.linalg",
        "from notes import x",
        "import orchestrator\nfrom orchestrator import BaseScriptlet, context\nfrom orchestrator.log import get_logger",
        "import calendar",
        "import yaml",
        "import step",
        f"import helpers_{'x' * 300}",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from orchestrator import plan",
        "try:\n    import beside\nexcept ImportError:\n    beside = None",
        "def work():\n    from orchestrator import plan",
    ],
)
def test_what_may_be_there_is_left_to_the_job(tmp_path: Path, lines: str) -> None:
    """What Python or the cluster has, and what the file itself does not always import as it is loaded."""
    imports = Imports(file_in_a_project(tmp_path, lines), "scriptlets.mine.step", tmp_path)

    assert (dict(imports.files), imports.missing) == ({}, [])


def file_in_a_project(root: Path, lines: str) -> Path:
    """Write a file of a project that has modules, and a folder without any."""
    texts = {
        "helpers.py": "",
        "chain.py": "import helpers\nfrom shared import ring",
        "broken.py": "import helpers, (",
        "endless.py": f"import helpers\nX = {'1 + ' * 100_000}1",
        "starry/__init__.py": "__all__ = ['one', 'nothing', '../chain']\n__all__ += ['two']\nX = 'other'",
        "starry/one.py": "import helpers\n__all__ = ['other']",
        "starry/other.py": "",
        "starry/two.py": "",
        "needy.py": "import orchestrator.store",
        "eager.py": "import needy",
        "shared/__init__.py": "",
        "shared/needed.py": "import orchestrator.store",
        "shared/units.py": "",
        "shared/ring.py": "import chain, shared.ring",
        "deep/down/metre.py": "",
        "scriptlets/mine/beside.py": "",
        "scriptlets/mine/calendar.py": "",
        "scriptlets/mine/yaml.py": "",
        "notes/notes.txt": "",
        "scriptlets/mine/step.py": lines,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root / "scriptlets/mine/step.py"


def wire(workshop: Workshop, backend: str) -> None:
    """Say what runs the steps."""
    workshop.write("workspaces/r/operators.yaml", f"operators: {{ hpc.a: {{ kind: hpc, backend: {{ {backend} }} }} }}")


def test_a_step_that_would_not_load_on_the_cluster_begins_no_run(workshop: Workshop) -> None:
    """Before anything is sent there, with the line of the module."""
    wire(workshop, "type: slurm, workspace_root: /scratch, dry_run: true")
    workshop.write("helpers.py", "import orchestrator.plan")
    workshop.write("steps.py", f"import helpers\n{STEP}")

    (problem,) = workshop.refused(recipe(python("a"), python("b", keys="operator_key: hpc.a")))

    what = "steps.py imports orchestrator.plan (in helpers.py), which does not travel to 'hpc.a'"
    assert problem == f"r.yaml:3:35: error[MS220]: {what}"


@pytest.mark.parametrize("backend", ["type: local, dry_run: true", "type: slurm, workspace_root: /s, dry_run: true"])
@pytest.mark.parametrize("first", ["import helpers", ""])
def test_other_steps_run(workshop: Workshop, backend: str, first: str) -> None:
    """Those that need nothing else, and those that need what travels."""
    wire(workshop, backend)
    workshop.write("helpers.py", "")
    workshop.write("steps.py", f"{first}\n{STEP}")

    assert workshop.run(recipe(python("a", keys="operator_key: hpc.a"))).states == ["COMPLETED"]


def test_a_module_that_may_not_be_read_fails_its_step(tmp_path: Path) -> None:
    """With its name, before anything is begun."""
    path = tmp_path / "helpers.py"
    path.touch(0o000)

    somebody = being(ADA) if os.geteuid() == 0 else nullcontext()
    with somebody, pytest.raises(ScriptletError, match=r"helpers\.py cannot be read: permission denied"):
        source_of(path, tmp_path)


def test_what_a_step_imports_is_recorded_and_found(workshop: Workshop) -> None:
    """Where the operator carries it out; nothing is left beside it."""
    wire(workshop, "type: local")
    workshop.write("helpers.py", "X = 1")
    workshop.write("steps.py", f"import helpers\n{STEP.replace('1', 'helpers.X')}")

    ran = workshop.run(recipe(python("a", keys="operator_key: hpc.a")))

    assert ran.states == ["COMPLETED"]
    (folder,) = (ran.root / "tasks/a/attempts").iterdir()
    names = [".ms/modules/helpers.py", ".ms/steps.py"]
    assert json.loads((folder / "manifest.json").read_text())["files"] == names
    assert [str(path.relative_to(folder)) for path in folder.glob(".ms/modules/**/*")] == names[:1]
