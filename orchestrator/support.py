"""Name what the recipe language can say and this program does not do yet, so that nothing is ever silently ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydantic import BaseModel

from orchestrator.errors import Place, Problem
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import (
    Defaults,
    ExperimentStep,
    HumanStep,
    PythonStep,
    RecipeStep,
    Retry,
    ShellStep,
)
from orchestrator.sources import Source

CODE = "MS208"

_RECIPE_KEYS = {
    "budget": "leave it out",
}
_DEFAULTS_KEYS = {"resources": "leave it out"}
_STEP_KEYS = {
    "operator_key": "leave it out; the step then runs on this machine",
    "needs": "leave it out; a step on this machine sees the whole context",
    "files": "put the files where the step looks for them",
    "resources": "leave it out",
    "fetch": "leave it out; a step on this machine works in the directory the run was started from",
    "on_walltime": "leave it out",
}
_ROUTING = "MATTERSTACK_OPERATOR"
_TYPES = (ExperimentStep,)


def unsupported(loaded: LoadedRecipe) -> Iterator[Problem]:
    """Give a problem, with its place, for every construct of a recipe that is not executed yet."""
    recipe = loaded.recipe
    of_recipe = partial(_place, loaded.source)
    of_defaults = partial(of_recipe, "defaults")
    yield from _keys(recipe, of_recipe, _RECIPE_KEYS)
    yield from _keys(recipe.defaults, of_defaults, _DEFAULTS_KEYS)
    yield from _parts(recipe.defaults, of_defaults)
    for step in recipe.every_step():
        of_step = partial(loaded.place, step.name)
        if isinstance(step, _TYPES):
            message = f"steps of type {step.type!r} are not executed yet"
            yield Problem(CODE, message, of_step("type"), "use type 'python' or 'shell'")
        elif isinstance(step, HumanStep):
            yield from _keys(step, of_step, {"files": "show what is asked in 'instructions'"})
        elif not isinstance(step, RecipeStep):
            yield from _keys(step, of_step, _STEP_KEYS)
            yield from _parts(step, of_step)


def _place(source: Source, *path: str, of_key: bool) -> Place:
    return source.place(path, of_key=of_key)


def _keys(part: BaseModel, place: Callable[..., Place], ways_out: dict[str, str]) -> Iterator[Problem]:
    for name in sorted(part.model_fields_set & ways_out.keys()):
        default = type(part).model_fields[name].get_default(call_default_factory=True)
        if getattr(part, name) != default:
            key = name.rstrip("_")
            yield Problem(CODE, f"{key!r} is not executed yet", place(key, of_key=True), ways_out[name])


def _parts(part: Defaults | PythonStep | ShellStep, place: Callable[..., Place]) -> Iterator[Problem]:
    """Look into the keys of which a part is executed."""
    if part.retry is not None:
        yield from _retries(part.retry, place)
    if _ROUTING in part.env:
        todo = _STEP_KEYS["operator_key"]
        yield Problem(CODE, f"{_ROUTING!r} is not executed yet", place("env", _ROUTING, of_key=True), todo)


def _retries(retry: Retry, place: Callable[..., Place]) -> Iterator[Problem]:
    if "grow" in retry.model_fields_set:
        yield Problem(CODE, "'grow' is not executed yet", place("retry", "grow", of_key=True), "leave it out")
    if "oom" in retry.on and "error" not in retry.on:
        todo = "add 'error': a step that is killed has failed"
        yield Problem(CODE, "'oom' alone is not executed yet", place("retry", "on", of_key=True), todo)
