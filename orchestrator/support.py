"""Name what the recipe language can say and this program does not do yet, so that nothing is ever silently ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydantic import BaseModel

from orchestrator.errors import Place, Problem, UsageError
from orchestrator.layout import RESERVED
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import (
    ExperimentStep,
    HumanStep,
    PythonStep,
    RecipeStep,
    Retry,
    ShellStep,
    WorkflowStep,
)
from orchestrator.sources import Source
from orchestrator.wiring.keys import canonical

CODE = "MS208"

ROUTED_CODE = "MS216"

_USED_RECIPE_KEYS = {"budget": "leave it out of a recipe that another uses: the budget of that one counts"}
_UNROUTED_KEYS = {
    "needs": "leave it out: a step that the runner runs itself sees the whole context",
    "files": "put the files where the step looks for them",
    "resources": "leave it out",
    "on_walltime": "leave it out: only a job of a cluster has a time limit of which it can be told before",
    "fetch": "leave it out: a step that the runner runs itself works in the directory the run was started from",
}
_ROUTED_KEYS = {
    "cache": "leave it out: results of steps that an operator carries out are not taken over yet",
    "cache_key": "leave it out",
    "isolation": "leave it out: the step has a process of its own",
}
_ROUTING = "MATTERSTACK_OPERATOR"
_BY_TYPE = {"human": "human.default", "experiment": "experiment.default"}


def operator_key_of(step: PythonStep | ShellStep | HumanStep | ExperimentStep) -> str:
    """Give the operator that carries a step out; nothing for one that the runner runs itself."""
    if isinstance(step, HumanStep | ExperimentStep):
        return step.operator_key or _BY_TYPE[step.type]
    named = step.operator_key or step.env.get(_ROUTING)
    return canonical(str(named)) if named else ""


def unsupported(loaded: LoadedRecipe, *, is_used: bool = False) -> Iterator[Problem]:
    """Give a problem, with its place, for every construct of a recipe that is not executed yet, or not where it is.

    ``is_used`` tells that another recipe uses it.
    """
    recipe = loaded.recipe
    of_recipe = partial(_place, loaded.source)
    of_defaults = partial(of_recipe, "defaults")
    yield from _keys(recipe, of_recipe, _USED_RECIPE_KEYS if is_used else {})
    yield from _retries(recipe.defaults.retry, of_defaults)
    for step in recipe.every_step():
        of_step = partial(loaded.place, step.name)
        if isinstance(step, PythonStep | ShellStep):
            yield from _code_step(step, of_step)
        if not isinstance(step, RecipeStep | WorkflowStep):
            yield from _files(step, of_step)
        if isinstance(step, ExperimentStep):
            yield from _retries(step.retry, of_step)


def _code_step(step: PythonStep | ShellStep, of_step: Callable[..., Place]) -> Iterator[Problem]:
    try:
        is_routed = bool(operator_key_of(step))
    except UsageError as error:
        yield Problem(error.code, error.message, of_step("env", _ROUTING), error.hint)
        return
    if is_routed:
        yield from _keys(step, of_step, _ROUTED_KEYS)
    else:
        yield from _keys(step, of_step, _UNROUTED_KEYS, ROUTED_CODE)
    yield from _retries(step.retry, of_step, is_routed=is_routed)


def _files(
    step: PythonStep | ShellStep | HumanStep | ExperimentStep, of_step: Callable[..., Place]
) -> Iterator[Problem]:
    for name in step.files:
        if name.split("/")[0] in RESERVED:
            place = of_step("files", name, of_key=True)
            yield Problem("MS106", f"{name!r} is a file of the runner", place, "take another name")


def _place(source: Source, *path: str, of_key: bool) -> Place:
    return source.place(path, of_key=of_key)


def _keys(
    part: BaseModel, place: Callable[..., Place], ways_out: dict[str, str], code: str = CODE
) -> Iterator[Problem]:
    for name in sorted(part.model_fields_set & ways_out.keys()):
        default = type(part).model_fields[name].get_default(call_default_factory=True)
        if getattr(part, name) != default:
            key = name.rstrip("_")
            why = "is for steps that have an 'operator_key'" if code == ROUTED_CODE else "is not executed yet"
            yield Problem(code, f"{key!r} {why}", place(key, of_key=True), ways_out[name])


def _retries(retry: Retry | None, place: Callable[..., Place], *, is_routed: bool = True) -> Iterator[Problem]:
    if retry is None:
        return
    if "grow" in retry.model_fields_set and not is_routed:
        message = "'grow' is for steps that have an 'operator_key'"
        yield Problem(ROUTED_CODE, message, place("retry", "grow", of_key=True), "leave it out")
    if "oom" in retry.on and "error" not in retry.on:
        todo = "add 'error': a step that is killed has failed"
        yield Problem(CODE, "'oom' alone is not executed yet", place("retry", "on", of_key=True), todo)
