"""Values are written in one short line, as expressions write them."""

from __future__ import annotations

import pytest

from orchestrator.expressions.faults import FaultError, quoted, shown, suggestion


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (0.5, "0.5"),
        ([1, "a", {}], "[1, 'a', {}]"),
        ({"a": [True], "b": {"c": None}}, "{'a': [True], 'b': {'c': None}}"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_a_value_is_written_as_in_an_expression(value: object, expected: str) -> None:
    """Lists, dicts and texts are written so that they can be read back, in one line."""
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, …"),
        ("é" * 1000, "'" + "é" * 58 + "…"),
    ],
)
def test_long_values_are_shortened(value: object, expected: str) -> None:
    """A value is shown up to 60 characters."""
    assert shown(value) == expected


def test_a_long_expression_is_shortened() -> None:
    """The text of an expression is quoted up to 200 characters, without its margin."""
    assert quoted("  a" + "b" * 300) == "'a" + "b" * 199 + "…'"


def test_a_fault_beside_secrets_tells_kinds() -> None:
    """The same fault names its values, or only what kind they are."""
    fault = FaultError("{} is not {}", "hunter2", [1])

    assert fault.told(is_secret=False) == "'hunter2' is not [1]"
    assert fault.told(is_secret=True) == "a string is not a list"


def test_a_long_name_is_not_suggested() -> None:
    """Keys that nobody would have meant to write are left out."""
    assert suggestion("energi", ["energy", "e" * 1000]) == "did you mean 'energy'?"
    assert suggestion("e" * 1000, ["e" * 1000]) == ""
