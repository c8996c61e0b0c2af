"""Describe a column of numbers: count, mean, spread and how neighbours hang together."""

from __future__ import annotations

import decimal
import statistics
import sys
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context, track_resources
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import check_src, read_numbers


class ComputeNumbers(BaseScriptlet):
    """Write ``numbers.stats_v1`` with the statistics of the numbers in a file.

    Params: ``src``, a text file with one number a line (blank lines and lines beginning with ``#`` are passed over);
    ``key``, where to write instead of ``numbers.stats_v1``. The standard deviation is that of a sample (n-1).
    """

    parallelizable = True
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["src"],
        "additionalProperties": False,
        "properties": {
            "src": {"type": "string", "description": "a text file with one number a line"},
            "key": {"type": "string", "description": "the context key to write instead"},
        },
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``src`` and a file that is not there."""
        check_src(params)

    @track_resources
    def work(self, ctx: Context, params: Params) -> Outputs:
        """Compute in exact fractions of the decimals in the file, so that the result carries all digits a float has."""
        numbers = read_numbers(Path(params["src"]))
        return {params.get("key", "numbers.stats_v1"): describe(numbers)}


def describe(numbers: list[float]) -> dict[str, float]:
    """Give count, sum, mean, min, max and, from two numbers on, the sample deviation and lag-1 autocorrelation."""
    exact = [Fraction(str(number)) for number in numbers]
    stats = {
        "count": len(exact),
        "sum": float(sum(exact)),
        "mean": float(statistics.mean(exact)),
        "min": min(numbers),
        "max": max(numbers),
    }
    if len(exact) > 1:
        stats["std"] = _root(statistics.variance(exact))
        stats["autocorrelation"] = autocorrelation(exact)
    return stats


def autocorrelation(numbers: list[Fraction]) -> float:
    """Give the lag-1 autocorrelation coefficient as NIST defines it; 0 for a constant column."""
    mean = statistics.mean(numbers)
    deviations = [number - mean for number in numbers]
    total = sum(deviation * deviation for deviation in deviations)
    shifted = sum(deviations[at] * deviations[at - 1] for at in range(1, len(deviations)))
    return float(shifted / total) if total else 0.0


def _root(square: Fraction) -> float:
    """Take the square root in 40 digits and round once."""
    with decimal.localcontext() as digits:
        digits.prec = 40
        return float((decimal.Decimal(square.numerator) / decimal.Decimal(square.denominator)).sqrt())


if __name__ == "__main__":
    ComputeNumbers.main()
