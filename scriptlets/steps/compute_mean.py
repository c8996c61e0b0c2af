"""Compute the mean of a column of numbers."""

from __future__ import annotations

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


class ComputeMean(BaseScriptlet):
    """Write ``numbers.mean_v1``, an object with ``mean`` and ``count``.

    Params: ``src``, a text file with one number a line; ``key``, where to write instead. The mean is that of the
    decimals in the file, rounded once.
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
        """Read the file and divide the sum."""
        numbers = [Fraction(str(number)) for number in read_numbers(Path(params["src"]))]
        mean = {"mean": float(statistics.mean(numbers)), "count": len(numbers)}
        return {params.get("key", "numbers.mean_v1"): mean}


if __name__ == "__main__":
    ComputeMean.main()
