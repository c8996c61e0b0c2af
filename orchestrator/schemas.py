"""Find the JSON Schemas of a recipe that nothing could fit, before anybody is asked for what must fit them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.errors import Problem
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import ExperimentStep, HumanStep, Step
from orchestrator.sources import DocPath

CODE = "MS106"

_SILENCE = {"approved": True}


def unusable(loaded: LoadedRecipe) -> Iterator[Problem]:
    """Give a problem, with its place, for every schema that is none, and for silence that would not fit its own."""
    for step in loaded.recipe.every_step():
        for path, schema in _schemas(step):
            if reason := _fault(schema):
                place = loaded.place(step.name, *path)
                yield Problem(CODE, f"this is no JSON Schema: {reason}", place, "mend it, or leave it out")
            elif isinstance(step, HumanStep) and (reason := _silence(step)):
                place = loaded.place(step.name, "deadline", "then")
                yield Problem(CODE, f"silence would not fit 'response_schema': {reason}", place, "write then: fail")


def _schemas(step: Step) -> Iterator[tuple[DocPath, Mapping[str, Any]]]:
    if isinstance(step, HumanStep) and step.response_schema:
        yield ("response_schema",), step.response_schema
    if isinstance(step, ExperimentStep) and step.result_schema:
        yield ("result_schema",), step.result_schema
    success = getattr(step, "success", None)
    for key, schema in (success.json_schema if success else {}).items():
        yield ("success", "json_schema", key), schema


def _fault(schema: Mapping[str, Any]) -> str:
    # Imported here because it is slow and most recipes never need it.
    from jsonschema import SchemaError

    from orchestrator.checks import make_validator  # noqa: PLC0415

    try:
        make_validator(schema)
    except SchemaError as fault:
        return f"{fault.message} at {fault.json_path}"
    return ""


def _silence(step: HumanStep) -> str:
    """Say why the approval that silence means does not fit what an answer must be."""
    from orchestrator.checks import mismatch  # noqa: PLC0415

    if step.deadline is None or step.deadline.then != "approve":
        return ""
    return mismatch("data", _SILENCE, dict(step.response_schema))
