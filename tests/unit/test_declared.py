"""Arguments are held against what scriptlets declare, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.declared import plainly_fits
from tests.unit.workshop import Workshop, recipe

RELAX = """\
from orchestrator import BaseScriptlet


class Relax(BaseScriptlet):
    params_schema = {
        "type": "object",
        "required": ["energy"],
        "additionalProperties": False,
        "properties": {
            "energy": {"type": "number", "minimum": 0, "description": "in eV"},
            "site": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
    }
    outputs_schema = {
        "relax.result_v1": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
        "relax.list_v1": {"type": "array"},
    }

    def work(self, ctx, params):
        return {"relax.result_v1": {"name": "x", "n": 1}, "relax.list_v1": []}
"""


def step(name: str, args: str) -> str:
    """Write a step that runs the scriptlet."""
    return f"{{name: {name}, type: python, module: ./relax.py, args: {{{args}}}}}"


def told(workshop: Workshop, *args: str) -> list[tuple[str, str]]:
    """Give what is wrong with steps that are given these arguments, and what to do."""
    workshop.write("relax.py", RELAX)
    steps = [step(f"s{number}", text) for number, text in enumerate(args)]
    return [(problem.message, problem.help) for problem in workshop.problems(recipe(*steps))]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ("", ("Relax needs the param 'energy'", "add it to 'args': energy: in eV")),
        ("enrgy: 1", ("Relax takes no param 'enrgy'", "did you mean 'energy'?")),
        ("energy: 1, zzz: 2", ("Relax takes no param 'zzz'", "known: energy, site")),
        ("energy: -1", ("Relax: energy: -1 is less than the minimum of 0", "energy: in eV")),
        ("energy: 1, site: {name: 5}", ("Relax: site.name: 5 is not of type 'string'", "site")),
    ],
)
def test_what_does_not_fit_is_found(workshop: Workshop, args: str, problem: tuple[str, str]) -> None:
    """One problem for each fault."""
    assert told(workshop, args) == [problem]


def test_what_only_a_run_knows_fits(workshop: Workshop) -> None:
    """Also within a value."""
    workshop.write("relax.py", RELAX)
    steps = (
        step("a", "energy: '${{ inputs.e }}'"),
        step("b", "energy: 1, site: {name: '${{ inputs.e }}'}"),
        step("c", "energy: '${{ ctx.relax.result_v1.n }}'"),
    )

    workshop.plan(recipe(*steps, head="inputs: {e: {type: number, default: 1}}\n"))


@pytest.mark.parametrize(
    ("path", "given"), [("relax.list_v1", "array"), ("relax.result_v1.name", "string"), ("relax.result_v1", "object")]
)
def test_types_are_compared_across_steps(workshop: Workshop, path: str, given: str) -> None:
    """Where an argument is a value of the context and nothing else."""
    problem = (f"'energy' takes number, and {path!r} of step 's0' is {given}", "give a value of that type")

    assert told(workshop, "energy: 1", f"energy: '${{{{ ctx.{path} }}}}'") == [problem]


def test_a_value_that_one_of_its_writers_may_have_made_fit_is_left_to_the_run(workshop: Workshop) -> None:
    """Which of two steps wrote last is known only then."""
    workshop.write(
        "count.py",
        RELAX.replace("Relax", "Count").replace(
            '"relax.list_v1": {"type": "array"}', '"relax.list_v1": {"type": "number"}'
        ),
    )
    other = "{name: c, type: python, module: ./count.py, args: {energy: 1}}"
    use = step("d", 'energy: "${{ ctx.relax.list_v1 }}"')
    workshop.write("relax.py", RELAX)

    assert len(workshop.plan(recipe(step("a", "energy: 1"), other, use)).tasks) == 3


def test_the_place_is_that_of_the_argument(workshop: Workshop) -> None:
    """In the recipe, not in the scriptlet."""
    workshop.write("relax.py", RELAX)

    (problem,) = workshop.problems(recipe(step("a", "energy: true")))

    assert problem.code == "MS213"
    assert problem.place
    assert problem.place.line == 2
    assert problem.place.text[problem.place.column - 1 :].startswith("true")


def test_a_schema_that_is_none_is_told(workshop: Workshop) -> None:
    """At the step that would run it."""
    workshop.write("relax.py", RELAX.replace('"type": "object",', '"type": "objekt",', 1))

    (problem,) = workshop.problems(recipe(step("a", "energy: 1")))

    assert problem.message.startswith("params_schema of Relax is no JSON Schema: 'objekt'")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just({}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
            "items": inner,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "minimum": st.integers(-1, 1),
            "description": st.just("said"),
        },
    ),
    max_leaves=4,
)


@settings(max_examples=500)
@given(value=VALUES, schema=SCHEMAS)
def test_what_plainly_fits_fits(value: Any, schema: dict[str, Any]) -> None:  # noqa: ANN401  any JSON value
    """The quick look never passes what the library would refuse."""
    assert not plainly_fits(value, schema) or Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strnig"},
        {"properties": 3},
        {"required": [["a"]]},
        {"items": 3},
        {"$ref": "#/x"},
        {"additionalProperties": {"type": "string"}},
    ],
)
def test_what_is_not_plain_is_left_to_the_library(schema: dict[str, Any]) -> None:
    """It knows all of JSON Schema, and can say what is wrong with a schema that is none."""
    value = [1] if "items" in schema else {"a": 1}

    assert not plainly_fits(value, schema)


def test_plain_arguments_are_seen_to_fit() -> None:
    """Most arguments are given as their scriptlet says."""
    assert plainly_fits(
        {"src": "a.csv", "limit": "${{ inputs.n }}"},
        {
            "type": "object",
            "required": ["src"],
            "additionalProperties": False,
            "properties": {"src": {"type": "string", "description": "a table"}, "limit": {"type": "integer"}},
        },
    )
