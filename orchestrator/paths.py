"""Find things: the project a recipe belongs to, the workspaces and the runs in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.campaign_source import entry_of
from orchestrator.clock import run_stamp
from orchestrator.errors import UsageError
from orchestrator.keys import is_run_id, is_workspace_slug, slug_of

SETTINGS_NAME = "matterstack.toml"
WORKSPACES_VARIABLE = "MATTERSTACK_WORKSPACES"
STATE_NAME = "state.sqlite"

_PACKAGE_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Where a run lives: the root of all workspaces, the workspace's slug, the run's id."""

    workspaces: Path
    slug: str
    run_id: str

    @property
    def root(self) -> Path:
        """Give the run directory."""
        return self.workspaces / self.slug / "runs" / self.run_id


def package_root() -> Path:
    """Give the folder that holds the packages ``orchestrator`` and ``scriptlets``."""
    return _PACKAGE_ROOT


def project_root(recipe_folder: Path) -> Path:
    """Give the project a recipe belongs to: the nearest folder upward that says so, else the recipe's own folder."""
    marks = (SETTINGS_NAME, "scriptlets", ".git")
    for folder in (recipe_folder, *recipe_folder.parents):
        if any((folder / mark).exists() for mark in marks):
            return folder
    return recipe_folder


def workspaces_root(chosen: Path | None = None) -> Path:
    """Give the root of all workspaces: the chosen one, ``$MATTERSTACK_WORKSPACES``, or that of the current project."""
    if chosen is not None:
        return chosen.absolute()
    if named := os.environ.get(WORKSPACES_VARIABLE):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if any((folder / mark).exists() for mark in (SETTINGS_NAME, "workspaces", ".git")):
            return folder / "workspaces"
    return here / "workspaces"


def workspace_slug(recipe_path: Path, workspaces: Path, declared: str | None) -> str:
    """Give the workspace a recipe runs in: the declared one, the one it lies in, or its own stem.

    Raises `UsageError` for a name that cannot be a folder.
    """
    inside = recipe_path.parent.relative_to(workspaces) if recipe_path.is_relative_to(workspaces) else None
    stem = slug_of(recipe_path.name.split(".")[0])
    slug = declared or (inside.as_posix() if inside and inside.parts else stem)
    if not is_workspace_slug(slug):
        raise UsageError(
            f"workspace {slug!r} is not a folder name", hint="use letters, digits, '_', '-' and '.', but not 'runs'"
        )
    return slug


def find_recipe(name: str, workspaces: Path) -> tuple[str, str | None]:
    """Give the recipe that a name stands for: a file, or that of a workspace, named by its folder or its slug.

    Of a workspace with a campaign in Python and no recipe it is the main.py. With it comes the slug of the workspace,
    or None for a file. Raises `UsageError` for a folder that is no workspace, or holds neither.
    """
    folder = next((path for path in (workspaces / name, Path(name).absolute()) if path.is_dir()), None)
    if folder is None or Path(name).is_file():
        return name, None
    inside = Path(os.path.normpath(folder))
    slug = inside.relative_to(workspaces).as_posix() if inside.is_relative_to(workspaces) else ""
    if not is_workspace_slug(slug):
        if inside.suffix in (".yaml", ".yml"):
            return name, None  # a folder in the place of a recipe, as whoever reads it is going to say
        hint = f"name a folder below {workspaces}, or a recipe file"
        raise UsageError(f"{name!r} is no workspace", hint=hint)
    return str(entry_of(folder)), slug


def portable(path: Path, runs: Path, project: Path) -> str:
    """Give a path as it is recorded with the runs of a folder: relative to that, as far as both lie in one project.

    A project that is moved as a whole so finds all that belongs to it.
    """
    inside = all(place.is_relative_to(project) for place in (path, runs))
    return os.path.relpath(path, runs) if inside else str(path)


def located(recorded: str, runs: Path) -> Path:
    """Give the path that `portable` recorded, from where the runs are now."""
    return Path(os.path.normpath(runs / recorded))


def new_run_id() -> str:
    """Make a run id: UTC time to the second and eight random hexadecimal digits."""
    return f"{run_stamp()}_{os.urandom(4).hex()}"


def iterate_runs(workspaces: Path) -> Iterator[Path]:
    """Give the run directories below the workspaces, newest first."""
    folders = (Path(folder) / "runs" for folder, below, _ in _walk(workspaces) if "runs" in below)
    return iter(sorted((run for runs in folders for run in _runs_in(runs)), key=_age, reverse=True))


def runs_of_workspace(workspace: Path) -> Iterator[Path]:
    """Give the run directories of one workspace, newest first."""
    return iter(sorted(_runs_in(workspace / "runs"), key=_age, reverse=True))


def workspaces_of(root: Path) -> Iterator[Path]:
    """Give the folders of the workspaces that have a wiring or runs of their own."""
    for folder, below, files in _walk(root):
        if "runs" in below or "operators.yaml" in files:
            yield Path(folder)


def _walk(workspaces: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the workspaces without going into their runs, which may hold very many files."""
    for folder, below, files in os.walk(workspaces):
        yield folder, below, files
        below[:] = [name for name in below if name != "runs"]


def _runs_in(folder: Path) -> Iterator[Path]:
    return (path.parent for path in folder.glob(f"*/{STATE_NAME}") if is_run_id(path.parent.name))


def _age(run_root: Path) -> tuple[str, int]:
    """Order runs by the second in their id, and within it by when they were made, as far as that can be told."""
    recipe = run_root / "recipe.yaml"
    return run_root.name[:15], recipe.stat().st_mtime_ns if recipe.exists() else 0
