"""Projects, workspaces and runs are found where they are expected, from wherever one stands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.keys import is_run_id
from orchestrator.paths import (
    RunPlace,
    find_recipe,
    iterate_runs,
    new_run_id,
    package_root,
    project_root,
    runs_of_workspace,
    workspace_slug,
    workspaces_root,
)

OLD = "20260101_000000_aaaa0000"
NEW = "20260102_000000_aabb0000"


def make_run(workspaces: Path, slug: str, run_id: str) -> Path:
    """Leave what makes a folder a run."""
    root = RunPlace(workspaces=workspaces, slug=slug, run_id=run_id).root
    root.mkdir(parents=True)
    (root / "state.sqlite").touch()
    (root / "recipe.yaml").touch()
    return root


@pytest.fixture(name="workspaces")
def _workspaces(tmp_path: Path) -> Path:
    """Give two runs in two workspaces, one of them nested."""
    make_run(tmp_path, "screening", OLD)
    make_run(tmp_path, "demos/screening", NEW)
    return tmp_path


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project's folder, and forget what the environment says."""
    monkeypatch.delenv("MATTERSTACK_WORKSPACES", raising=False)
    (tmp_path / "lab" / "recipes" / "deep").mkdir(parents=True)
    return tmp_path / "lab"


def test_a_run_lies_in_its_workspace(tmp_path: Path) -> None:
    """Root of all workspaces, workspace, runs, id."""
    place = RunPlace(workspaces=tmp_path, slug="demos/screening", run_id=NEW)

    assert place.root == tmp_path / "demos" / "screening" / "runs" / NEW


def test_run_ids_are_well_formed_and_different() -> None:
    """Also within one second."""
    ids = {new_run_id() for _ in range(50)}

    assert len(ids) == 50
    assert all(is_run_id(text) for text in ids)


def test_the_package_lies_beside_its_scriptlets() -> None:
    """A bare checkout and an installation look the same from here."""
    assert (package_root() / "orchestrator" / "paths.py").is_file()
    assert (package_root() / "scriptlets" / "steps").is_dir()


@pytest.mark.parametrize("mark", ["matterstack.toml", "scriptlets", ".git"])
def test_a_project_is_the_nearest_folder_upward_that_says_so(project: Path, mark: str) -> None:
    """By its settings, its scriptlets or its repository."""
    (project / mark).mkdir()

    assert project_root(project / "recipes" / "deep") == project


def test_a_nearer_project_wins(project: Path) -> None:
    """A project may lie within another."""
    (project / ".git").mkdir()
    (project / "recipes" / "matterstack.toml").touch()

    assert project_root(project / "recipes" / "deep") == project / "recipes"


def test_the_chosen_root_of_workspaces_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the variable, and before what lies about."""
    monkeypatch.setenv("MATTERSTACK_WORKSPACES", "/elsewhere")
    monkeypatch.chdir(project)

    assert workspaces_root(Path("here")) == project / "here"
    assert workspaces_root() == Path("/elsewhere")


@pytest.mark.parametrize("mark", ["matterstack.toml", "workspaces"])
def test_workspaces_belong_to_the_current_project(project: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """From any folder below it."""
    (project / mark).touch() if mark.endswith(".toml") else (project / mark).mkdir()
    monkeypatch.chdir(project / "recipes" / "deep")

    assert workspaces_root() == project / "workspaces"


def test_without_a_project_workspaces_are_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They will be made in the current folder."""
    monkeypatch.chdir(project / "recipes")

    assert workspaces_root() == project / "recipes" / "workspaces"


@pytest.mark.parametrize(
    ("recipe", "declared", "slug"),
    [
        ("/lab/recipes/median.yaml", None, "median"),
        ("/lab/recipes/median.v2.yaml", None, "median"),
        ("/lab/recipes/median.yaml", "screening", "screening"),
        ("/lab/workspaces/demos/screening/recipe.yaml", None, "demos/screening"),
        ("/lab/workspaces/recipe.yaml", None, "recipe"),
    ],
)
def test_a_recipe_has_a_workspace(recipe: str, declared: str | None, slug: str) -> None:
    """The declared one, the one it lies in, or that of its own name."""
    assert workspace_slug(Path(recipe), Path("/lab/workspaces"), declared) == slug


@pytest.mark.parametrize("declared", ["../x", "/abs", "a b", "runs", "x" * 200])
def test_a_workspace_is_a_folder_name(declared: str) -> None:
    """Others are refused with what would do."""
    with pytest.raises(UsageError, match="is not a folder name") as caught:
        workspace_slug(Path("/lab/r.yaml"), Path("/lab/workspaces"), declared)

    assert caught.value.hint == "use letters, digits, '_', '-' and '.', but not 'runs'"


def test_runs_are_listed_newest_first(workspaces: Path) -> None:
    """Those of all workspaces, or of one."""
    assert [run.name for run in iterate_runs(workspaces)] == [NEW, OLD]
    assert [run.name for run in runs_of_workspace(workspaces / "screening")] == [OLD]
    assert list(runs_of_workspace(workspaces / "nothing")) == []


def test_runs_of_one_second_are_listed_by_when_they_were_made(tmp_path: Path) -> None:
    """The random part of their ids says nothing."""
    first = make_run(tmp_path, "a", "20260101_000000_ffffffff")
    second = make_run(tmp_path, "a", "20260101_000000_00000000")
    os.utime(first / "recipe.yaml", (1, 1))
    os.utime(second / "recipe.yaml", (2, 2))

    assert list(iterate_runs(tmp_path)) == [second, first]


def test_what_is_no_run_is_not_listed(workspaces: Path) -> None:
    """A folder of another name, or without a state file."""
    make_run(workspaces, "screening", ".ms-tmp-0011")
    (workspaces / "screening" / "runs" / "20260103_000000_00000000").mkdir()

    assert [run.name for run in iterate_runs(workspaces)] == [NEW, OLD]


def test_a_run_that_lost_its_recipe_is_still_listed(workspaces: Path) -> None:
    """One damaged run does not hide the others."""
    (workspaces / "screening" / "runs" / OLD / "recipe.yaml").unlink()

    assert [run.name for run in iterate_runs(workspaces)] == [NEW, OLD]


def test_a_project_of_its_own_is_not_captured_by_a_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a folder called workspaces keeps its runs."""
    checkout = tmp_path / "workspaces" / "mine"
    (checkout / ".git").mkdir(parents=True)
    monkeypatch.delenv("MATTERSTACK_WORKSPACES", raising=False)
    monkeypatch.chdir(checkout)

    assert workspaces_root() == checkout / "workspaces"


def test_a_workspace_stands_for_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its slug, however nested, and by its folder."""
    recipe = tmp_path / "workspaces" / "demos" / "screening" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.touch()
    monkeypatch.chdir(tmp_path)

    for name in ("demos/screening", "workspaces/demos/screening", str(recipe.parent)):
        assert find_recipe(name, tmp_path / "workspaces") == (str(recipe), "demos/screening")


def test_a_workspace_stands_for_its_campaign(tmp_path: Path) -> None:
    """Where it has one in Python and no recipe."""
    main = tmp_path / "campaign" / "main.py"
    main.parent.mkdir()
    main.touch()

    assert find_recipe("campaign", tmp_path) == (str(main), "campaign")


@pytest.mark.parametrize("name", ["r.yaml", "-", "nowhere.yaml"])
def test_a_file_stands_for_itself(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is not there, of which whoever reads it says so."""
    (tmp_path / "r.yaml").touch()
    monkeypatch.chdir(tmp_path)

    assert find_recipe(name, tmp_path / "workspaces") == (name, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "empty has no recipe.yaml and no main.py"),
        (".", "'.' is no workspace"),
        ("..", "'..' is no workspace"),
    ],
)
def test_a_folder_without_a_recipe_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    """The error says what it lacks."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError, match=re.escape(reason)):
        find_recipe(name, tmp_path)
