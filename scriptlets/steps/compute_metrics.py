"""Compute quantiles of numbers, as reports of response times show them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import numbers_of

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class ComputeMetrics(BaseScriptlet):
    """Write ``metrics.quantiles_v1``, an object with ``p50``, ``p90``, ``p99`` and ``count``.

    Params: ``from``, the context key of a list of numbers (``numbers.values_v1`` when left out); ``key``, where to
    write instead. Quantiles are interpolated linearly between the two nearest numbers (Hyndman and Fan, type 7).
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
            "key": {"type": "string", "description": "the context key to write instead"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Sort once and look up."""
        numbers = sorted(numbers_of(ctx, params.get("from", "numbers.values_v1")))
        quantiles = {name: quantile(numbers, share) for name, share in QUANTILES.items()}
        return {params.get("key", "metrics.quantiles_v1"): {**quantiles, "count": len(numbers)}}


def quantile(numbers: list[float], share: float) -> float:
    """Give the value below which a share of sorted numbers lies."""
    place = share * (len(numbers) - 1)
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return float(numbers[low] + (place - low) * (numbers[high] - numbers[low]))


if __name__ == "__main__":
    ComputeMetrics.main()
