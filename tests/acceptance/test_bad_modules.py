"""A step runs the code that the project allows and that the plan saw, and nothing that merely looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.program import ROOT, Project

SIDE = """\
from pathlib import Path
from orchestrator import BaseScriptlet

Path("canary").write_text("touched")

class Side(BaseScriptlet):
    def work(self, ctx, params):
        return {}
"""

TELL = """\
import json, os, sys
from orchestrator import BaseScriptlet

class Tell(BaseScriptlet):
    def work(self, ctx, params):
        return {"tell.json_v1": json.__file__, "tell.names_v1": sorted(os.environ), "tell.path_v1": sys.path}
"""

TWO_STEPS = """\
schema: matterstack/recipe/v1
steps:
  - name: meddle
    type: shell
    run: |
      for file in late.py late.sh; do sed s/true/false/ $file > changed; cp changed $file; done
      echo '{"status": "ok"}'
  - { name: late, type: TYPE }
"""

LATE_PY = """\
from orchestrator import BaseScriptlet

class Late(BaseScriptlet):
    def work(self, ctx, params):
        return {"late.value_v1": "true"}
"""

NOT_ALLOWED = {
    "os": "is not allowed; allowed: scriptlets.*",
    "subprocess": "is not allowed; allowed: scriptlets.*",
    "builtins": "is not allowed; allowed: scriptlets.*",
    "orchestrator.runner": "is not allowed; allowed: scriptlets.*",
    "orchestrator.scriptlets_evil": "is not allowed; allowed: scriptlets.*",
    "scriptlets_evil.side": "is not allowed; allowed: scriptlets.*",
    "subprocess:Popen": "is not a dotted name",
    "\u0455criptlets.steps.side": "is not a dotted name",
    "scriptlets.steps.\uff53ide": "is not a dotted name",
    "..steps.side": "is not a dotted name",
    "/etc/side.py": "is not allowed",
    "../side.py": "is not allowed",
    "http://x/side.py": "is not allowed",
    "./link.py": "leads out of the project, to ",
    "./links/side.py": "leads out of the project, to ",
    "scriptlets.steps.link": "leads out of the project, to ",
}

NOT_THERE = {
    "scriptlets.steps.sid": "module 'scriptlets.steps.sid' is not there",
    "scriptlets.steps.side.__class__": "module 'scriptlets.steps.side.__class__' is not there",
    "./missing.py": "module file './missing.py' is not there",
}

NO_CLASSES = ["Sid", "BaseScriptlet", "Path", "__class__"]


@pytest.fixture(name="canary")
def _canary(project: Project) -> Path:
    """Make a project whose modules touch a file as soon as they are imported, and links that lead out of it."""
    outside = project.folder.parent / "outside"
    outside.mkdir()
    for path in (outside / "side.py", project.folder / "scriptlets_evil" / "side.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(SIDE)
    project.write("scriptlets/steps/side.py", SIDE)
    for name in ("link.py", "scriptlets/steps/link.py"):
        (project.folder / name).symlink_to(outside / "side.py")
    (project.folder / "links").symlink_to(outside)
    return project.write("canary", "alive")


def write_step(project: Project, module: str, function: str = "Side") -> None:
    """Write a recipe with one Python step."""
    project.write(
        "recipe.yaml", f"steps:\n  - name: one\n    type: python\n    module: '{module}'\n    function: {function}\n"
    )


@pytest.mark.parametrize(("module", "complaint"), NOT_ALLOWED.items())
def test_a_module_outside_is_refused(project: Project, canary: Path, module: str, complaint: str) -> None:
    """Other packages, look-alikes and paths that leave the project are refused at their place, and not imported."""
    write_step(project, module)

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 3
    assert "recipe.yaml:4:13: error[MS205]: " in ended.stderr
    assert complaint in ended.stderr
    assert (canary.read_text(), project.run_folders()) == ("alive", [])


@pytest.mark.parametrize(("module", "complaint"), NOT_THERE.items())
def test_a_missing_module_is_refused(project: Project, canary: Path, module: str, complaint: str) -> None:
    """A module without a file of its own is not there, whatever attributes other modules have."""
    write_step(project, module)

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 3
    assert f"recipe.yaml:4:13: error[MS206]: {complaint}" in ended.stderr
    assert canary.read_text() == "alive"


@pytest.mark.parametrize("function", NO_CLASSES)
def test_only_classes_of_the_file_itself_can_be_named(project: Project, canary: Path, function: str) -> None:
    """What a module imported or inherited is none of its steps."""
    write_step(project, "scriptlets.steps.side", function)

    ended = project.call("validate", "recipe.yaml")

    assert ended.status == 3
    assert f"recipe.yaml:5:15: error[MS206]: 'scriptlets.steps.side' has no class '{function}'" in ended.stderr


@pytest.mark.parametrize("words", [("validate", "recipe.yaml"), ("plan", "recipe.yaml"), ("scriptlets",)])
def test_looking_imports_nothing(project: Project, canary: Path, words: tuple[str, ...]) -> None:
    """Checking, planning and listing read the text of modules and run none of it."""
    write_step(project, "scriptlets.steps.side")

    ended = project.call(*words)

    assert ended.status == 0
    assert canary.read_text() == "alive"


def test_a_project_can_allow_more(project: Project, canary: Path) -> None:
    """The allow-list stands in the project's settings."""
    project.write("matterstack.toml", '[allow]\nmodules = ["scriptlets_evil.*"]\n')
    write_step(project, "scriptlets_evil.side")

    ended = project.call("run", "recipe.yaml")

    assert (ended.status, canary.read_text()) == (0, "touched")


def test_a_file_in_the_way_shadows_no_library(project: Project, canary: Path) -> None:
    """Modules of the project with the names of libraries are not taken for them, by the runner or by a step."""
    for name in ("json", "yaml", "click", "signal", "sitecustomize", "usercustomize"):
        project.write(f"{name}.py", SIDE)
    project.write("tell.py", TELL)
    write_step(project, "./tell.py", "Tell")

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 0, ended.stderr
    assert project.folder not in Path(project.call("ctx", "get", "@last", "tell.json_v1").answer).parents
    assert canary.read_text() == "alive"


def test_the_environment_injects_nothing_into_steps(project: Project, canary: Path) -> None:
    """Variables that make programs load code do not reach steps, and bash reads no file of theirs."""
    project.write("evil.sh", "echo touched > canary")
    project.write("tell.py", TELL)
    bash = "  - { name: bash, type: shell, run: [bash, -c, 'echo ''{\"status\": \"ok\"}'''] }\n"
    project.write("recipe.yaml", f"steps:\n{bash}  - {{ name: tell, type: python, module: ./tell.py }}\n")
    injecting = {"BASH_ENV": "evil.sh", "ENV": "evil.sh", "PYTHONSTARTUP": "evil.py", "PYTHONPATH": f"{ROOT}:evil"}

    ended = project.call("run", "recipe.yaml", env={**injecting, "KEPT": "1"})

    assert ended.status == 0, ended.stderr
    names = set(project.call("ctx", "get", "@last", "tell.names_v1").answer)
    assert ("KEPT" in names, names & injecting.keys()) == (True, set())
    assert not [entry for entry in project.call("ctx", "get", "@last", "tell.path_v1").answer if "evil" in entry]
    assert canary.read_text() == "alive"


@pytest.mark.parametrize("kind", ["python, module: ./late.py", "shell, script: late.sh"])
def test_code_that_changes_under_way_is_refused(project: Project, kind: str) -> None:
    """A file that is no longer what was planned fails its step before it runs."""
    project.write("late.py", LATE_PY)
    project.write("late.sh", """echo '{"status": "ok", "outputs": {"late.value_v1": "true"}}'\n""")
    project.write("recipe.yaml", TWO_STEPS.replace("TYPE", kind))

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 1
    assert "recipe.yaml:8:13: error[MS307]: late: " in ended.stderr
    assert ended.answer["reason"].endswith(" changed since the run began")
    assert project.call("ctx", "get", "@last").answer == {}
