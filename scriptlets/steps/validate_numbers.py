"""Check that numbers lie where they have to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import numbers_of


class ValidateNumbers(BaseScriptlet):
    """Write ``numbers.valid_v1``, an object with ``count``, ``min`` and ``max``, or fail at the first wrong number.

    Params, all optional: ``from``, the context key of the numbers (``numbers.values_v1`` when left out); ``minimum``
    and ``maximum``, what is allowed; ``min_count``, how many there have to be at least.
    """

    needs = ("numbers.values_v1",)
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "from": {
                "type": "string",
                "description": "the context key of the numbers; numbers.values_v1 when left out",
            },
            "minimum": {"type": "number", "description": "the least that is allowed"},
            "maximum": {"type": "number", "description": "the most that is allowed"},
            "min_count": {"type": "integer", "description": "how many there have to be at least"},
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "numbers.valid_v1": {
            "type": "object",
            "required": ["count", "min", "max"],
            "properties": {"count": {"type": "integer"}, "min": {"type": "number"}, "max": {"type": "number"}},
        }
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Look at each number once."""
        numbers = numbers_of(ctx, params.get("from", "numbers.values_v1"))
        low, high = params.get("minimum", float("-inf")), params.get("maximum", float("inf"))
        for place, number in enumerate(numbers, start=1):
            if not low <= number <= high:
                raise ValueError(f"number {place} is {number}, not between {low} and {high}")
        if len(numbers) < params.get("min_count", 0):
            raise ValueError(f"there are {len(numbers)} numbers, fewer than {params['min_count']}")
        return {"numbers.valid_v1": {"count": len(numbers), "min": min(numbers), "max": max(numbers)}}


if __name__ == "__main__":
    ValidateNumbers.main()
