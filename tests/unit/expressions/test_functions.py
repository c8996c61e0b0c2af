"""Every function gives what its row of the table says, and refuses the rest."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import FUNCTIONS, Scope, evaluate
from orchestrator.jsonsafe import JsonValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(-2)", 2),
        ("all([1, 0])", False),
        ("any([1, 0])", True),
        ("bool('')", False),
        ("endswith('a.csv', '.csv')", True),
        ("float('2.5')", 2.5),
        ("get({'id': 'Cu'}, 'name', 'none')", "none"),
        ("has({'id': 'Cu'}, 'id')", True),
        ("int(2.9)", 2),
        ("isclose(0.1 + 0.2, 0.3)", True),
        ("join(['a', 'b'], '-')", "a-b"),
        ("keys({'b': 1, 'a': 2})", ["b", "a"]),
        ("len('abc')", 3),
        ("lower('Cu')", "cu"),
        ("max(1, 3, 2)", 3),
        ("min([2, 1])", 1),
        ("range(1, 7, 2)", [1, 3, 5]),
        ("round(2.345, 1)", 2.3),
        ("sorted([2, 3, 1], reverse=True)", [3, 2, 1]),
        ("startswith('a.csv', 'b')", False),
        ("str([1, 'a', None])", '[1,"a",null]'),
        ("sum([1, 2.5])", 3.5),
        ("upper('Cu')", "CU"),
        ("values({'b': 1, 'a': 2})", [1, 2]),
    ],
)
def test_a_function_does_what_its_row_says(text: str, expected: JsonValue) -> None:
    """Every function of the table gives its documented result."""
    assert evaluate(text, Scope()) == expected


def test_every_function_is_documented() -> None:
    """The reference can be made from the table: each row shows how the function is called and what it gives."""
    assert all(function.usage.startswith(f"{name}(") and function.meaning for name, function in FUNCTIONS.items())


@pytest.mark.parametrize(
    "call",
    ["len(1)", "join([], [])", "join([1])", "lower(1)", "startswith('a', 1)", "keys([])", "sum(['a'])", "min([])"],
)
def test_a_function_refuses_what_it_is_not_for(call: str) -> None:
    """A value of the wrong kind is refused by the function it was given to."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(call, Scope())

    assert caught.value.message == f"expression {call!r}: {call} is not possible"


def test_a_refusal_says_what_the_function_is_for() -> None:
    """The hint is the function's row."""
    with pytest.raises(ExpressionError) as caught:
        evaluate("float('many')", Scope())

    assert caught.value.hint == "float(x): the number that a text or a number gives"
