"""A schema that nothing could fit is refused before a run, with its place."""

from __future__ import annotations

import pytest

from tests.unit.workshop import Workshop, recipe

HUMAN = "name: q, type: human, instructions: so?"
NO_TYPE = "this is no JSON Schema: 'objekt' is not valid under any of the given schemas at $.type"


def told(workshop: Workshop, step: str) -> list[str]:
    """Give what is wrong with a recipe of one step, each with its line and column."""
    problems = workshop.problems(recipe(f"{{{step}}}"))
    return [f"{problem.place.line}:{problem.place.column} {problem.message}" for problem in problems if problem.place]


@pytest.mark.parametrize(
    ("step", "column"),
    [
        (f"{HUMAN}, response_schema: {{type: objekt}}", 62),
        ("name: m, type: experiment, result_schema: {type: objekt}", 46),
        ("name: a, type: shell, run: 'true', success: {json_schema: {a.b_v1: {type: objekt}}}", 71),
    ],
)
def test_a_schema_that_is_none_is_refused(workshop: Workshop, step: str, column: int) -> None:
    """Else no answer could ever be given."""
    assert told(workshop, step) == [f"2:{column} {NO_TYPE}"]


def test_silence_that_approves_fits_the_schema(workshop: Workshop) -> None:
    """Else steps that rely on the schema get what does not fit it."""
    step = f"{HUMAN}, response_schema: {{required: [phase]}}, deadline: {{after: 1s, then: approve}}"

    assert told(workshop, step) == [
        "2:111 silence would not fit 'response_schema': data: 'phase' is a required property"
    ]


def test_a_schema_that_silence_fits_is_taken(workshop: Workshop) -> None:
    """And one that need not be fitted by silence."""
    fitting = f"{HUMAN}, response_schema: {{required: [approved]}}, deadline: {{after: 1s, then: approve}}"
    failing = f"{HUMAN}, response_schema: {{required: [phase]}}, deadline: {{after: 1s}}"

    for step in (fitting, failing):
        assert workshop.plan(recipe(f"{{{step}}}")).tasks
