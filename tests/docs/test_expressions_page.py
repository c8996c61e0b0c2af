"""The page of expressions lists every name and function, and its examples have the values that it shows."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import FUNCTIONS, NAMES, Scope, evaluate
from tests.docs.documents import REFERENCE, blocks, rows, section

PAGE = REFERENCE / "expressions.md"
VALUES, ERRORS = section(PAGE, "## Examples").split("| expression | error |")


@pytest.fixture(name="scope")
def _scope() -> Scope:
    names = json.loads(next(block.text for block in blocks(PAGE) if block.language == "json"))
    return Scope(ctx=names.pop("ctx"), names=names)


def test_names_are_those_of_the_language() -> None:
    """Name and meaning stand as in the program."""
    assert [(name, meaning) for name, meaning, _ in rows(section(PAGE, "## Names"))] == list(NAMES.items())


def test_functions_are_those_of_the_language() -> None:
    """Usage and meaning stand as in the program."""
    known = [[function.usage, function.meaning] for function in FUNCTIONS.values()]

    assert rows(section(PAGE, "## Functions")) == known


@pytest.mark.parametrize(("expression", "value"), rows(VALUES))
def test_example_has_its_value(expression: str, value: str, scope: Scope) -> None:
    """An expression gives the JSON value beside it."""
    assert evaluate(expression, scope) == json.loads(value)


@pytest.mark.parametrize(("expression", "message"), rows(f"| expression | error |{ERRORS}"))
def test_wrong_example_has_its_error(expression: str, message: str, scope: Scope) -> None:
    """An expression fails with the words beside it."""
    with pytest.raises(ExpressionError) as failure:
        evaluate(expression, scope)

    assert failure.value.message.endswith(message)
