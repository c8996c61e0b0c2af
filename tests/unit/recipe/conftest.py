"""What the tests of recipes share: loading text, and listing what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.sources import Source


@pytest.fixture
def load() -> Callable[[str], LoadedRecipe]:
    """Load a recipe from its text."""
    return lambda text: load_recipe(Source.from_text("r.yaml", text))


@pytest.fixture
def told() -> Callable[[str], list[tuple[str, str, str]]]:
    """Give code, place and message of each problem of a recipe that is not in order."""

    def problems(text: str) -> list[tuple[str, str, str]]:
        with pytest.raises(InvalidFileError) as caught:
            load_recipe(Source.from_text("r.yaml", text))
        return [(problem.code, str(problem.place), problem.message) for problem in caught.value.problems]

    return problems


@pytest.fixture
def step_told(told: Callable[[str], list[tuple[str, str, str]]]) -> Callable[[str], list[tuple[str, str]]]:
    """Give code and message of each problem of a shell step to which keys were added."""

    def problems(keys: str) -> list[tuple[str, str]]:
        return [(code, message) for code, _, message in told(f"steps: [{{name: a, type: shell, run: [x], {keys}}}]")]

    return problems
