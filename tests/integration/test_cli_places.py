"""The program runs from a bare checkout, from anywhere, in any locale, and where it must not write."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.program import Project

HOME = """\
import orchestrator
from orchestrator import BaseScriptlet

class Home(BaseScriptlet):
    def work(self, ctx, params):
        return {"home.file_v1": orchestrator.__file__}
"""

UMLAUTS = """\
steps:
  - name: say
    type: shell
    run: |
      echo 'grüß 漢字' >&2
      echo '{"status": "ok", "outputs": {"say.text_v1": "grüß 漢字"}}'
"""

STEP = "steps:\n  - { name: home, type: python, module: ./home.py }\n"

# Root without its privileges: a read-only directory is then read-only for root too.
UNPRIVILEGED = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()


def runner_of(checkout: Project, *options: str) -> list[str]:
    """Give the command that starts the checkout's own runner."""
    return [sys.executable, *options, str(checkout.folder / "orchestrator" / "runner.py")]


@pytest.fixture(name="homely")
def _homely(project: Project) -> Project:
    """Make a project whose step tells which program runs it."""
    project.write("home.py", HOME)
    project.write("recipe.yaml", STEP)
    return project


@pytest.mark.parametrize("options", [(), ("-I",), ("-P",)], ids=" ".join)
def test_a_bare_checkout_runs(checkout: Project, homely: Project, options: tuple[str, ...]) -> None:
    """runner.py needs no installation and no current directory, and the steps see the same program as it."""
    words = ["--recipe", str(homely.folder / "recipe.yaml"), "--workspaces-dir", str(homely.folder / "workspaces")]

    ended = homely.call(*words, command=runner_of(checkout, *options), env={"PYTHONPATH": ""}, cwd=Path("/"))

    assert (ended.status, ended.answer["ctx_keys"]) == (0, ["home.file_v1"])
    home = homely.call("ctx", "get", "@last", "home.file_v1").answer
    assert home == str(checkout.folder / "orchestrator" / "__init__.py")


def test_the_quick_start_of_the_checkout_runs(checkout: Project) -> None:
    """The example recipes find their data from the checkout's own folder."""
    ended = checkout.call(
        "--recipe", "recipes/example_numbers.yaml", command=[sys.executable, "orchestrator/runner.py"]
    )

    assert (ended.status, ended.answer["ctx_keys"]) == (0, ["numbers.stats_v1"])


def test_runner_tells_its_version(checkout: Project) -> None:
    """The script answers the one question that is not about a recipe."""
    ended = checkout.call("--version", command=runner_of(checkout))

    assert ended.stdout.startswith("matterstack ")


def test_a_scriptlet_runs_by_hand(checkout: Project) -> None:
    """A step of the checkout is a command of its own, from any directory."""
    step = [sys.executable, str(checkout.folder / "scriptlets" / "steps" / "compute_median.py")]
    params = f'{{"src": "{checkout.folder}/data/numbers.csv"}}'

    ended = checkout.call("--params", params, command=step, env={"PYTHONPATH": ""}, cwd=Path("/"))

    assert (ended.status, ended.answer["outputs"]) == (0, ["numbers.median_v1"])
    assert "[resource] duration_sec=" in ended.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"TZ": "Asia/Tokyo"},
        {"LANG": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"COLUMNS": "20"},
    ],
    ids=str,
)
def test_settings_of_the_place_change_nothing(project: Project, env: dict[str, str]) -> None:
    """Time zone, locale and terminal settings leave times in UTC and text whole."""
    project.write("recipe.yaml", UMLAUTS)

    ended = project.call("run", "recipe.yaml", env=env)
    value = project.call("ctx", "get", "@last", "say.text_v1", env=env).answer
    logged = project.call("attempts", "@last", "say", "--stderr", env=env).stdout

    assert (ended.status, value, logged) == (0, "grüß 漢字", "grüß 漢字\n")
    created_at = datetime.fromisoformat(project.call("status", "--json", env=env).answer["created_at"])
    named_at = datetime.strptime(f"{ended.answer['run_id'][:15]} +0000", "%Y%m%d_%H%M%S %z")
    assert timedelta(0) <= created_at - named_at < timedelta(minutes=1)


def test_names_with_blanks_and_letters_of_any_script_work(tmp_path: Path) -> None:
    """Neither the folder nor the recipe needs a plain name."""
    project = Project(folder=tmp_path / "mein Ordner é漢")
    project.write("home.py", HOME)
    project.write("my récipe.yaml", STEP)

    ended = project.call("run", "my récipe.yaml")

    assert ended.status == 0, ended.stderr
    assert ended.answer["run_root"].startswith(f"{project.folder}/workspaces/my_r_cipe/runs/")


def test_a_recipe_inside_a_workspace_runs_there(project: Project) -> None:
    """The workspace of a recipe that lies in one is that one, however deep."""
    project.write("workspaces/demos/screening/recipe.yaml", UMLAUTS)

    project.call("run", "workspaces/demos/screening/recipe.yaml")

    assert [row["workspace"] for row in project.call("runs").table] == ["demos/screening"]


@pytest.mark.skipif(
    UNPRIVILEGED != () and shutil.which("setpriv") is None, reason="nothing here takes root's rights away"
)
def test_a_checkout_that_cannot_be_written_runs(checkout: Project, homely: Project) -> None:
    """An installation that belongs to somebody else is enough, as long as runs may be kept elsewhere."""
    for path in [checkout.folder, *checkout.folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    elsewhere = ["--workspaces-dir", str(homely.folder / "elsewhere")]

    ended = checkout.call(
        "--recipe",
        "recipes/median.yaml",
        *elsewhere,
        command=[*UNPRIVILEGED, *runner_of(checkout)],
        env={"PYTHONPATH": ""},
    )

    assert (ended.status, ended.answer["ctx_keys"]) == (0, ["numbers.median_v1"])
    assert ended.answer["run_root"].startswith(f"{homely.folder}/elsewhere/median/runs/")


@pytest.mark.skipif(
    UNPRIVILEGED != () and shutil.which("setpriv") is None, reason="nothing here takes root's rights away"
)
def test_a_place_that_cannot_be_written_is_refused(checkout: Project) -> None:
    """Where runs may not be kept, the message names the path and nothing runs."""
    checkout.folder.chmod(0o555)

    ended = checkout.call(
        "--recipe", "recipes/median.yaml", command=[*UNPRIVILEGED, *runner_of(checkout)], env={"PYTHONPATH": ""}
    )

    assert ended.status == 6
    assert f"error[MS601]: cannot make the directory {checkout.folder}/workspaces" in ended.stderr
    assert "permission denied" in ended.stderr
