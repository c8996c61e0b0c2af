"""Plan a recipe, the one that is run or a part of one that became known meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.campaign_source import entry_of, read_recipe
from orchestrator.catalog import Project, find_recipe, read_project
from orchestrator.errors import UsageError
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue
from orchestrator.paths import project_root
from orchestrator.plan.constants import settle_vars
from orchestrator.plan.demand import demands_of, refuse_over_budget
from orchestrator.plan.finding import check_files, look
from orchestrator.plan.model import Found, Plan
from orchestrator.plan.selection import Selection, left_out_by
from orchestrator.plan.tasks import tasks_of
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.recipe.model import Recipe, RecipeStep
from orchestrator.sources import MAX_BYTES, Source, read_source

STDIN_NAME = "<stdin>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecipe:
    """A recipe in which nothing is wrong that can be known before it has inputs, and what its steps run."""

    loaded: LoadedRecipe
    project: Project
    found: Found


def plan_recipe(recipe: str, given: Mapping[str, JsonValue], selection: Selection | None = None) -> Plan:
    """Plan the recipe at a path, or on standard input for ``-``; errors as in `make_plan`."""
    return plan_source(*_read(recipe), given, selection)


def check_recipe(recipe: str) -> CheckedRecipe:
    """Read a recipe and find all that a plan would find wrong with it, also where it needs inputs that are not given.

    Raises `InvalidFileError` with every problem.
    """
    loaded, project = _loaded(*_read(recipe))
    found = check_files(loaded, project)
    names: dict[str, JsonValue] = {}
    if not any(entry.required for entry in loaded.recipe.inputs.values()):
        inputs = settle_inputs(loaded.recipe.inputs, {}, project)
        names = {"inputs": inputs, "vars": settle_vars(loaded, inputs)}
    if loaded.recipe.budget:
        refuse_over_budget(loaded, demands_of(loaded, tuple(tasks_of(loaded, found, {})), names))
    return CheckedRecipe(loaded=loaded, project=project, found=found)


def plan_source(
    source: Source, folder: Path, given: Mapping[str, JsonValue], selection: Selection | None = None
) -> Plan:
    """Plan a recipe whose relative paths start from ``folder``; errors as in `make_plan`."""
    return make_plan(*_loaded(source, folder), given, selection)


def make_plan(
    loaded: LoadedRecipe, project: Project, given: Mapping[str, JsonValue], selection: Selection | None = None
) -> Plan:
    """Plan the run of a recipe.

    Raises `InvalidFileError` with every problem of the recipe that only a plan can see, or with the constants that
    have no value, `UsageError` for inputs and step names that do not exist, and `NothingSelectedError` when no step
    is left.
    """
    selection = selection or Selection()
    found = check_files(loaded, project)
    with _told_of(loaded.source):
        inputs = settle_inputs(loaded.recipe.inputs, given, project)
        left_out = left_out_by(loaded.recipe.steps, selection)
    return Plan(
        loaded=loaded,
        project=project,
        selection=selection,
        inputs=inputs,
        vars=settle_vars(loaded, inputs),
        tasks=tuple(tasks_of(loaded, found, left_out)),
    )


def _loaded(source: Source, folder: Path) -> tuple[LoadedRecipe, Project]:
    """Load a recipe with its project; what is wrong with its files is told beside all else that is wrong."""
    project = read_project(folder, project_root(folder))
    return load_recipe(source, lambda loaded: look(loaded, project)[1]), project


def _read(recipe: str) -> tuple[Source, Path]:
    """Give the source of a recipe, and the folder from which its relative paths start."""
    if recipe == "-":
        return Source.from_bytes(STDIN_NAME, sys.stdin.buffer.read(MAX_BYTES + 1)), Path.cwd()
    path = entry_of(Path(recipe))
    return read_recipe(path), path.absolute().parent


def recipes_of(source: Source, folder: Path) -> Iterator[Recipe]:
    """Give a recipe and those that it uses, whatever else is wrong with them; raises `InvalidFileError`."""
    waiting, seen = [(source, read_project(folder, project_root(folder)))], {source.name}
    while waiting:
        one, project = waiting.pop()
        recipe = load_recipe(one).recipe
        yield recipe
        for step in recipe.every_step():
            if isinstance(step, RecipeStep) and str(path := find_recipe(project, step.uses)) not in seen:
                seen.add(str(path))
                waiting.append((read_source(path), read_project(path.parent, project.root)))


@contextmanager
def _told_of(source: Source) -> Iterator[None]:
    """Say of which recipe it is that something was asked for which it has not."""
    try:
        yield
    except UsageError as error:
        raise type(error)(f"{source.name}: {error.message}", hint=error.hint, code=error.code) from error
