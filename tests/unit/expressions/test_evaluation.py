"""Expressions see plain JSON values and give JSON values."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, evaluate, evaluate_condition, explain
from orchestrator.jsonsafe import JsonValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("1 < 2 <= 2 and not False", True),
        ("'Cu' in ctx.candidates.list_v1", True),
        ("'b' if x else 'c'", "c"),
        ("item.sizes[-1]", 3),
        ("item.sizes[1:]", [2, 3]),
        ("item['id'][0]", "C"),
        ("[a * 2 for a in item.sizes if a > 1]", [4, 6]),
        ("{a: len(a) for a in ctx.candidates.list_v1}", {"Cu": 2, "Ag": 2}),
        ("all(a > 0 for a in item.sizes)", True),
        ("[item for item in item.sizes] + [item.id]", [1, 2, 3, "Cu"]),
        ("{'a': [None, True, 1.5]}", {"a": [None, True, 1.5]}),
        ("{'a': [null, true, false]}", {"a": [None, True, False]}),
        ("true and not false", True),
        ("(1 +\n 2)", 3),
    ],
)
def test_an_expression_has_a_value(text: str, expected: JsonValue, scope: Scope) -> None:
    """Arithmetic, logic, comparison, choice, slices, literals and comprehensions work as in Python."""
    assert evaluate(text, scope) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "inptus.cutoff > 0",
            "expression 'inptus.cutoff > 0': the name 'inptus' is not defined",
            "did you mean 'inputs'?",
        ),
        ("steps", "expression 'steps': 'steps' has no value here", "it is what became of the steps so far, by name"),
        ("len", "expression 'len': 'len' is a function", "call it: len(x)"),
        (
            "inputs.cutof",
            "expression 'inputs.cutof': {'cutoff': 0.2, 'src': 'a.csv'} has no key 'cutof'",
            "did you mean 'cutoff'?",
        ),
        (
            "inputs['cutof']",
            "expression \"inputs['cutof']\": {'cutoff': 0.2, 'src': 'a.csv'} has no key 'cutof'",
            "did you mean 'cutoff'?",
        ),
        ("inputs.cutoff.unit", "expression 'inputs.cutoff.unit': 0.2 is a number and has no key 'unit'", ""),
        ("item.sizes[9]", "expression 'item.sizes[9]': [1, 2, 3] has 3 elements and none at 9", ""),
        ("{1: 2}", "expression '{1: 2}': the key 1 of a dict is an integer", "write str(key)"),
        (
            "[a for a in 'abc']",
            "expression \"[a for a in 'abc']\": 'for' goes through a list or the keys of a dict, but 'abc' is a string",
            "",
        ),
    ],
)
def test_an_error_names_the_values(text: str, message: str, hint: str, scope: Scope) -> None:
    """An expression that has no value is refused with what was wrong and what to write instead."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, scope)

    assert (caught.value.code, caught.value.message, caught.value.hint) == ("MS306", message, hint)


def test_a_condition_is_true_or_false(scope: Scope) -> None:
    """A comparison gives its truth."""
    assert evaluate_condition("len(ctx.candidates.list_v1) == 2", scope) is True
    assert evaluate_condition("len(ctx.candidates.list_v1) == 3", scope) is False


@pytest.mark.parametrize(("text", "value"), [("len(item.id)", "2 is an integer"), ("x", "[] is a list")])
def test_a_condition_is_nothing_else(text: str, value: str, scope: Scope) -> None:
    """A value that is merely true in Python is refused with the value and its kind."""
    with pytest.raises(ExpressionError) as caught:
        evaluate_condition(text, scope)

    assert caught.value.message == f"expression {text!r}: a condition is true or false, but {value}"


@pytest.mark.parametrize(
    "text",
    [
        "secrets.token + 1",
        "secrets.token",
        "float(secrets.token)",
        "secrets.token < 1",
        "{secrets.token: 1}.a",
        "ctx[secrets.token]",
    ],
)
def test_a_secret_is_never_written(text: str) -> None:
    """Errors, their hints and explanations of an expression that reads secrets hold none of its values."""
    scope = Scope(names={"secrets": {"token": "hunter2"}}, ctx={"hunter2.a": 1})

    with pytest.raises(ExpressionError) as caught:
        evaluate_condition(text, scope)

    assert "hunter2" not in caught.value.explained()
    assert caught.value.__cause__ is None
    assert explain("secrets.token == 'a'", scope) == "values are kept secret"
