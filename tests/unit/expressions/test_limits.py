"""An expression takes neither long nor much memory, whatever it says."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, evaluate
from orchestrator.expressions.faults import FaultError
from orchestrator.expressions.limits import is_json_number, weigh

MEGABYTE = 1_000_000


@pytest.fixture(name="traced")
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 10**9",
        "[0] * 10**8",
        "9**9**9",
        "2.0**100000",
        "(-8)**0.5",
        "1e308 * 10",
        "9007199254740991 + 1",
        "range(10**12)",
        "round(5, -10**9)",
        "'%1000000000d' % 1",
        "[a for a in range(9999) for b in range(9999) for c in range(9999)]",
        "[[[b for b in range(9999)] for c in range(9999)] for d in range(9999)]",
        "[[[[1] * 999] * 999] * 999]",
        "[d for a in [[1] * 999] for b in [[a] * 999] for c in [[b] * 999] for d in [[c] * 999]]",
        "[[0] * 999999 for a in range(99)]",
        "[range(9999) for a in range(9999)]",
        "['a' * 999999 + 'a' * 999999]",
        "join(['a' * 1000] * 1000, 'b' * 999)",
        "str([['a' * 1000] * 1000])",
        "has({}, 'a' * 999999)",
        "float('nan')",
        "float('inf')",
        "int('9' * 5000)",
    ],
)
def test_what_would_grow_without_bound_is_refused(text: str, traced: None) -> None:
    """An expression that would take too much time or memory is refused before it has taken 50 MB."""
    with pytest.raises(ExpressionError):
        evaluate(text, Scope())

    assert tracemalloc.get_traced_memory()[1] < 50 * MEGABYTE


@pytest.mark.parametrize(
    ("value", "weight"),
    [(None, 1), (2.5, 1), ("abc", 3), ([1, "abc", []], 6), ({"ab": [1, 2]}, 5)],
)
def test_a_value_weighs_its_elements_and_characters(value: object, weight: int) -> None:
    """A container counts its elements or keys, and what is inside it; texts, keys too, count their characters."""
    assert weigh(value, 100) == weight


def test_a_heavy_value_is_refused() -> None:
    """What weighs more than the limit is not weighed to the end."""
    with pytest.raises(FaultError, match="more than 4 elements and characters"):
        weigh([1, 2, "abc"], 4)


@pytest.mark.parametrize(
    ("value", "is_carried"),
    [(2**53 - 1, True), (2**53, False), (True, True), (1e308, True), (float("inf"), False), (1j, False), ("1", False)],
)
def test_json_carries_finite_numbers(value: object, is_carried: bool) -> None:
    """Integers within ±(2^53-1) and finite floats are carried unchanged."""
    assert is_json_number(value) is is_carried
