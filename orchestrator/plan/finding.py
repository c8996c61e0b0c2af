"""Find what the steps of a recipe run, their files and the recipes that they use, and all that is wrong with it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from orchestrator.catalog import Project, ScriptletFile, find_module, find_recipe, find_script, read_project
from orchestrator.declared import is_open, unfit
from orchestrator.errors import InvalidFileError, Problem, ScriptletError
from orchestrator.keys import did_you_mean
from orchestrator.plan.demand import without_limit
from orchestrator.plan.model import Found, SubRecipe
from orchestrator.plan.tasks import tasks_of
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.recipe.model import PythonStep, RecipeStep, ShellStep, Step
from orchestrator.schemas import unusable
from orchestrator.sources import Source
from orchestrator.support import unsupported


def check_files(loaded: LoadedRecipe, project: Project) -> Found:
    """Give what the steps of a recipe run, or raise with all that keeps the recipe from being run."""
    found, problems = look(loaded, project)
    if problems:
        raise InvalidFileError(sorted(problems, key=_order))
    return found


def look(loaded: LoadedRecipe, project: Project, using: tuple[Path, ...] = ()) -> tuple[Found, list[Problem]]:
    """Find what steps run, and all that is wrong with it; ``using`` are the recipes that led here."""
    problems = [*unsupported(loaded, is_used=bool(using))]
    files = _find_files(loaded, project, problems)
    problems += unfit(loaded, files)
    problems += unusable(loaded)
    subs: dict[str, SubRecipe] = {}
    chain = (*using, (project.recipe_folder / Path(loaded.source.name).name).resolve())
    for step in loaded.recipe.every_step():
        if isinstance(step, RecipeStep):
            try:
                subs[step.name] = _sub_recipe(loaded, step, project, chain)
            except ScriptletError as error:
                place = loaded.place(step.name, "uses")
                problems.append(Problem(error.code, error.message, place, error.hint))
            except InvalidFileError as error:
                problems += error.problems
    if loaded.recipe.budget and not using:
        problems += without_limit(loaded, subs)
    return Found(files=files, subs=subs), problems


def _sub_recipe(loaded: LoadedRecipe, step: RecipeStep, project: Project, chain: tuple[Path, ...]) -> SubRecipe:
    path = find_recipe(project, step.uses)
    if path.resolve() in chain:
        names = " -> ".join(one.name for one in (*chain, path))
        raise ScriptletError(f"recipes use one another in a circle: {names}", hint="leave one out", code="MS204")
    used = read_project(path.parent, project.root)
    part = load_recipe(Source.from_bytes(str(path), path.read_bytes()), lambda recipe: look(recipe, used, chain)[1])
    found, problems = look(part, used, chain)
    problems += _unfit_args(loaded, step, part)
    if problems:
        raise InvalidFileError(problems)
    return SubRecipe(loaded=part, project=used, tasks=tuple(tasks_of(part, found, {})))


def _unfit_args(loaded: LoadedRecipe, step: RecipeStep, used: LoadedRecipe) -> Iterator[Problem]:
    """Compare the arguments of a step with the inputs of the recipe that it uses."""
    inputs = used.recipe.inputs
    for name in step.args:
        if name not in inputs:
            place = loaded.place(step.name, "args", name, of_key=True)
            yield Problem("MS209", f"{step.uses} has no input {name!r}", place, did_you_mean(name, inputs))
        elif not is_open(step.args[name]) and (complaint := inputs[name].complaint(step.args[name])):
            place = loaded.place(step.name, "args", name)
            yield Problem("MS209", f"input {name!r} of {step.uses}: {complaint}", place, inputs[name].description)
    for name, entry in inputs.items():
        if entry.required and name not in step.args:
            place = loaded.place(step.name, "uses")
            yield Problem("MS209", f"{step.uses} needs the input {name!r}", place, f"add it to 'args': {name}")


def _find_files(loaded: LoadedRecipe, project: Project, problems: list[Problem]) -> dict[str, ScriptletFile | None]:
    """Find the file of every step; note what is not there or not allowed."""
    files: dict[str, ScriptletFile | None] = {}
    find = functools.cache(functools.partial(_find_file, project))
    for step in loaded.recipe.every_step():
        try:
            files[step.name] = find(*_names_file(step))
        except ScriptletError as error:
            files[step.name] = None
            key = error.key if isinstance(step, PythonStep) else "script"
            problems.append(Problem(error.code, error.message, loaded.place(step.name, key), error.hint))
    return files


def _names_file(step: Step) -> tuple[str, str, str]:
    """Give the module, class and script that a step names; the same for all steps that run the same code."""
    if isinstance(step, PythonStep):
        return step.module, step.class_name, ""
    return "", "", (step.script or "") if isinstance(step, ShellStep) else ""


def _find_file(project: Project, module: str, class_name: str, script: str) -> ScriptletFile | None:
    if module:
        return find_module(project, module, class_name)
    return find_script(project, script) if script else None


def _order(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)
