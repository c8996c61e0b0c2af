"""What the expressions of these tests may name."""

from __future__ import annotations

import pytest

from orchestrator.expressions import Scope


@pytest.fixture(name="scope")
def _scope() -> Scope:
    return Scope(
        names={"inputs": {"cutoff": 0.2, "src": "a.csv"}, "item": {"id": "Cu", "sizes": [1, 2, 3]}, "x": []},
        ctx={
            "numbers": {"other": 1},
            "numbers.stats_v1": {"mean": 3.5, "count": 4, "to": {"north": [7, 8]}},
            "numbers.median_v1": {"count": 3},
            "candidates.list_v1": ["Cu", "Ag"],
            "site.odd-name_v1": {"if": 1, "two words": 2},
        },
    )
