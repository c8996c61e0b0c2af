"""A failed condition is explained by the values that decided it."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, explain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctx.numbers.median_v1.count == 4", "3 == 4"),
        ("len(x) > 0", "0 > 0"),
        ("1 < 3 < 2", "3 < 2"),
        ("item.id in ['Ag', 'Au']", "'Cu' in ['Ag', 'Au']"),
        ("item.id == 'Cu' and len(x) > 0 and inputs.cutoff > 1", "0 > 0"),
        ("len(x) > 0 or inputs.cutoff > 1", "0 > 0 or 0.2 > 1"),
        ("item.id == 'Cu' or 1 / 0 > 1", "'Cu' == 'Cu'"),
        ("not item.sizes", "not [1, 2, 3]"),
        ("not len(x) == 0", "not 0 == 0"),
        ("isclose(ctx.numbers.stats_v1.mean, 4, rel_tol=0.01)", "isclose(3.5, 4, rel_tol=0.01)"),
        ("has(ctx, 'numbers.mode_v1')", "has(ctx, 'numbers.mode_v1')"),
        ("len(x) > 1 if item.id == 'Cu' else False", "0 > 1"),
        ("-len(item.id) == 2", "-2 == 2"),
        ("get(item, 'done', False)", "get({'id': 'Cu', 'sizes': [1, 2, 3]}, 'done', False)"),
    ],
)
def test_a_failed_condition_shows_its_values(text: str, expected: str, scope: Scope) -> None:
    """The explanation holds the values that were compared, of the first part that is false."""
    assert explain(text, scope) == expected


def test_what_has_no_value_has_no_explanation() -> None:
    """A condition that cannot be evaluated is refused as in evaluating it."""
    with pytest.raises(ExpressionError) as caught:
        explain("1 / 0 > 1", Scope())

    assert caught.value.message == "expression '1 / 0 > 1': 1 / 0 divides by zero"
