"""The published JSON Schema: it is what the model says, and editors can use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

import orchestrator
from orchestrator.recipe.schema import recipe_json_schema, schema_text
from orchestrator.sources import Source
from orchestrator.strict_yaml import parse

PUBLISHED = Path(orchestrator.__file__).parent / "schema" / "recipe-v1.json"
EXAMPLE = Path(__file__).parent / "example.yaml"
VALIDATOR = Draft7Validator(recipe_json_schema())


def complaints(text: str) -> list[tuple[str, str]]:
    """Give the path and the message of all that the schema refuses."""
    errors = VALIDATOR.iter_errors(parse(Source.from_text("r.yaml", text)))
    return [("/".join(map(str, error.absolute_path)), error.message) for error in errors]


def test_the_published_file_is_what_the_model_says() -> None:
    """After a change of the model: make schema."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text()


def test_it_is_draft_7() -> None:
    """Editors understand no newer one."""
    schema = json.loads(schema_text())

    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in schema_text()


def test_it_accepts_the_example_of_the_whole_language() -> None:
    """Every construct of the language stands in it."""
    assert complaints(EXAMPLE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("right", "wrong", "path"),
    [
        ("maximum: 4", "maximun: 4", "inputs/cutoff"),
        ("type: human", "type: humn", "steps/2/type"),
        ("timeout: 5m", "timeout: 5x", "defaults/timeout"),
        ("cores: 4", "cores: many", "steps/1/resources/cores"),
        ("name: relax", "name: re/lax", "steps/1/name"),
        ("approvals: 2", "aprovals: 2", "steps/2"),
    ],
)
def test_it_refuses_a_slip(right: str, wrong: str, path: str) -> None:
    """One slip is one complaint at its place."""
    text = EXAMPLE.read_text(encoding="utf-8")

    assert right in text
    assert [place for place, _ in complaints(text.replace(right, wrong))] == [path]


def test_every_key_has_a_description() -> None:
    """Editors show it, and the reference is made of it."""
    schema = recipe_json_schema()
    parts = [schema, *(part for name, part in schema["definitions"].items() if name != "Step")]

    assert [key for part in parts for key, said in part["properties"].items() if not said.get("description")] == []
