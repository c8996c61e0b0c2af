"""Read a recipe from its source, or say everything that is wrong with it at once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrator.errors import Place, Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.recipe.model import SCHEMA_ID, STEP_LISTS, Recipe
from orchestrator.recipe.order import by_idx
from orchestrator.recipe.rules import idx_problems, rule_problems, step_entries
from orchestrator.recipe.templates import expression_problems
from orchestrator.recipe.validate import readable_part, validate
from orchestrator.recipe.words import shown
from orchestrator.sources import DocPath, Source, refusal
from orchestrator.strict_yaml import scan

MAX_STEPS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRecipe:
    """A recipe without faults, its steps in the order in which they run, with its source and what to warn of."""

    source: Source
    recipe: Recipe
    warnings: tuple[Problem, ...] = ()
    paths: Mapping[str, DocPath] = field(repr=False)

    def place(self, step: str, *below: str | int, of_key: bool = False) -> Place:
        """Give where a step stands, or what is below it, as in ``place("relax", "success", "expect", 0)``."""
        return self.source.place((*self.paths[step], *below), of_key=of_key)


Look = Callable[[LoadedRecipe], Iterable[Problem]]


def load_recipe(source: Source, look: Look = lambda _: ()) -> LoadedRecipe:
    """Give the recipe in a source; raise one `InvalidFileError` with every problem of the file, in its order.

    ``look`` gives further problems of steps, which are added where the file has others; it sees the whole recipe, or
    one of those steps that are right in themselves.
    """
    with _collector_paused():
        return _loaded(source, look)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # What is read holds no cycles, and looking for them among so many values takes a third of the time of a large file.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _loaded(source: Source, look: Look) -> LoadedRecipe:
    document, problems = _document(source)
    entries = step_entries(document)
    recipe, faults = validate(document, source)
    falling = idx_problems(entries, source)
    is_seed = "schema" not in document
    stages = [
        problems,
        expression_problems(document, source),
        faults,
        [*rule_problems(document, entries, source), *([] if is_seed else falling)],
    ]
    found = list(_without_echoes(stages))
    paths = {step.name: step.path for steps in entries.values() for step in steps}
    if recipe is None or found:
        part = LoadedRecipe(source=source, recipe=recipe or readable_part(document), paths=paths)
        raise refusal(_without_echoes([found, look(part)]))
    if not falling:
        return LoadedRecipe(source=source, recipe=recipe, paths=paths)
    return LoadedRecipe(source=source, recipe=_sorted(recipe), paths=paths, warnings=tuple(falling[:1]))


def _document(source: Source) -> tuple[dict[str, JsonValue], tuple[Problem, ...]]:
    """Give the mapping that the file holds and the YAML problems that left it readable."""
    reading = scan(source)
    if not reading.whole:
        raise refusal(reading.problems)
    document = reading.value
    if not isinstance(document, dict):
        message = f"expected a mapping with the key 'steps', got {shown(document)}"
        problem = Problem("MS106", message, source.place(()), "write 'steps:' and a list of steps")
    elif document.get("schema", SCHEMA_ID) != SCHEMA_ID:
        message = f"expected the schema {SCHEMA_ID!r}, got {shown(document['schema'])}"
        problem = Problem("MS106", message, source.place(("schema",)), "write that, or leave 'schema' out")
    elif _count_steps(document) > MAX_STEPS:
        message = f"{_count_steps(document)} steps are more than {MAX_STEPS}"
        problem = Problem("MS109", message, source.place(("steps",), of_key=True), "use 'foreach' or 'matrix'")
    else:
        return document, reading.problems
    raise refusal(_without_echoes([reading.problems, [problem]]))


def _count_steps(document: Mapping[str, JsonValue]) -> int:
    lists = [document.get(name) for name in STEP_LISTS]
    return sum(len(steps) for steps in lists if isinstance(steps, list))


def _without_echoes(stages: Iterable[Iterable[Problem]]) -> Iterator[Problem]:
    """Drop what a later look says about a place that an earlier look already found wrong."""
    told: set[Place | None] = set()
    for stage in stages:
        fresh = [problem for problem in stage if problem.place not in told]
        yield from fresh
        told |= {problem.place for problem in fresh}


def _sorted(recipe: Recipe) -> Recipe:
    names = ("steps", "on_failure", "finally_")
    return recipe.model_copy(update={name: tuple(by_idx(getattr(recipe, name))) for name in names})
