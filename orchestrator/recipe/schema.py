"""Publish the recipe language as a JSON Schema that editors understand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from orchestrator.recipe.model import STEP_LISTS, Recipe

if TYPE_CHECKING:
    from pydantic_core import core_schema

_DIALECT = "http://json-schema.org/draft-07/schema#"
_NAME = "urn:matterstack:schema:recipe:v1"


class _Draft7(GenerateJsonSchema):
    """Writes draft-07, without what an editor would only show as noise: titles of keys, and null as a default."""

    schema_dialect = _DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002  the signature is pydantic's
        """Leave out titles that only repeat the key."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out the default of a key that has none."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if key != "default" or value is not None}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Refuse the keys that fit no pattern."""
        written = super().dict_schema(schema)
        return {**written, "additionalProperties": False} if "patternProperties" in written else written

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Choose by the type first, so that an editor complains about that type only."""
        written = super().tagged_union_schema(schema)
        kinds = written.get("discriminator", {}).get("mapping")
        if not kinds:
            return written
        choices = [
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": {"$ref": reference}}
            for kind, reference in kinds.items()
        ]
        kind = {"description": "The kind of step.", "enum": list(kinds)}
        return {"type": "object", "required": ["name", "type"], "properties": {"type": kind}, "allOf": choices}


def recipe_json_schema() -> dict[str, Any]:
    """Give the JSON Schema of a recipe, in draft-07."""
    written = Recipe.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Draft7)
    definitions = written.pop("$defs")
    definitions["Step"] = written["properties"]["steps"]["items"]
    for name in STEP_LISTS:
        written["properties"][name]["items"] = {"$ref": "#/definitions/Step"}
    head = {"$schema": _DIALECT, "$id": _NAME, "title": "MatterStack recipe"}
    whole = {**head, **{key: value for key, value in written.items() if key not in head}, "definitions": definitions}
    tidied: dict[str, Any] = _tidied(whole)
    return tidied


def schema_text() -> str:
    """Give the text of the published schema file."""
    return json.dumps(recipe_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidied(node: Any) -> Any:  # noqa: ANN401  any part of a JSON Schema
    """Wrap references that have neighbours, which draft-07 would ignore."""
    if isinstance(node, list):
        return [_tidied(part) for part in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidied(value) for key, value in node.items()}
    if len(tidied) > 1 and isinstance(tidied.get("$ref"), str):
        tidied["allOf"] = [{"$ref": tidied.pop("$ref")}]
    return tidied
