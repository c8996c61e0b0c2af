"""Operators take JSON values of fitting kinds, and give JSON values."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, evaluate
from orchestrator.jsonsafe import JsonValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 // 2 + 7 % 2 - 2 ** 3", -4),
        ("1 / 4", 0.25),
        ("-2 + +3", 1),
        ("'a' + 'b' * 2", "abb"),
        ("2 * [1] + [2]", [1, 1, 2]),
        ("1 != 2 > 0 >= 0", True),
        ("'a' in {'a': 1} and 2 not in [1]", True),
        ("1 == '1'", False),
    ],
)
def test_operators_work_as_in_python(text: str, expected: JsonValue) -> None:
    """Numbers are calculated with, texts and lists put together or repeated, and all values compared."""
    assert evaluate(text, Scope()) == expected


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        (
            "'Cu' + 1",
            "'Cu' + 1 would calculate with a string and an integer",
            "convert with str(x), float(x) or int(x)",
        ),
        ("'Cu' < 1", "'Cu' < 1 would compare a string with an integer", "compare values of one kind"),
        ("1 / 0", "1 / 0 divides by zero", ""),
        ("9 ** 99", "9 ** 99 is beyond the numbers that JSON carries", ""),
        ("-'Cu'", "- 'Cu' needs a number, not a string", ""),
    ],
)
def test_values_that_do_not_fit_are_named(text: str, fault: str, hint: str) -> None:
    """An operator refuses values it is not for, with both values and what to do."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, Scope())

    assert (caught.value.message, caught.value.hint) == (f"expression {text!r}: {fault}", hint)
