"""The page of recipes lists every key, tells apart what is executed and what is refused, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator import support
from orchestrator.recipe import model
from tests.docs.documents import REFERENCE, blocks, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "recipe.md"
EVERY_STEP = model.PythonStep.model_fields.keys() & model.ShellStep.model_fields.keys()
PARTS: dict[str, tuple[type[BaseModel], dict[str, str]]] = {
    "## The whole file": (model.Recipe, {}),
    "### test_meta": (model.Metadata, {}),
    "### inputs": (model.Input, {}),
    "### secrets": (model.Secret, {}),
    "### defaults": (model.Defaults, {}),
    "### repeat": (model.Repeat, {}),
    "### budget": (model.Budget, {}),
    "### success": (model.Success, {}),
    "### cache": (model.Cache, {}),
    "### retry": (model.Retry, {}),
}


def keys_of(part: type[BaseModel]) -> set[str]:
    """Give the keys of a part of the language as they stand in a file."""
    return {field.alias or name for name, field in part.model_fields.items()}


def executed(heading: str) -> list[str]:
    """Give the keys that the page lists under a heading."""
    own, _, _ = section(PAGE, heading).partition("\n### ")
    return [row[0] for row in rows(own)]


@pytest.mark.parametrize("heading", PARTS)
def test_executed_keys_are_listed(heading: str) -> None:
    """A table has the keys that the language knows and the program does not refuse."""
    part, refused = PARTS[heading]

    assert sorted(executed(heading)) == sorted(keys_of(part) - {name.rstrip("_") for name in refused})


def test_keys_of_every_step_are_listed() -> None:
    """What Python and shell steps share stands in one table."""
    assert sorted(executed("## Every step")) == sorted(EVERY_STEP)


@pytest.mark.parametrize(
    ("heading", "kind"), [("### Python steps", model.PythonStep), ("### Shell steps", model.ShellStep)]
)
def test_keys_of_one_kind_of_step_are_listed(heading: str, kind: type[BaseModel]) -> None:
    """What only one kind of step has stands in a table of its own."""
    assert sorted(executed(heading)) == sorted(keys_of(kind) - EVERY_STEP)


def test_refused_keys_are_listed_with_the_way_round() -> None:
    """The last table says what the program says when it refuses a key."""
    tables = {
        "a recipe that another uses": support._USED_RECIPE_KEYS,
        "a step with an operator": support._ROUTED_KEYS,
    }
    refused = [[name.rstrip("_"), where, todo] for where, keys in tables.items() for name, todo in keys.items()]

    assert rows(section(PAGE, "## Refused for now")) == refused


def test_every_executed_key_has_an_example() -> None:
    """Each key of the tables stands in a recipe on the page."""
    recipes = "".join(block.text for block in blocks(PAGE) if block.language == "yaml")
    listed = rows(PAGE.read_text(encoding="utf-8").partition("## Examples")[0])

    assert [key for key, _ in listed if not re.search(rf"\b{key}:", recipes)] == []


def test_examples_give_what_they_show(checkout: Path) -> None:
    """Every recipe of the page is run."""
    follow(checkout, PAGE)
