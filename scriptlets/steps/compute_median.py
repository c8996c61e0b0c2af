"""Compute the median of a column of numbers."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context, track_resources
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import check_src, read_numbers


class ComputeMedian(BaseScriptlet):
    """Write ``numbers.median_v1``, an object with ``median`` and ``count``.

    Params: ``src``, a text file with one number a line.
    """

    parallelizable = True
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["src"],
        "additionalProperties": False,
        "properties": {"src": {"type": "string", "description": "a text file with one number a line"}},
    }
    outputs_schema: ClassVar[Schema] = {
        "numbers.median_v1": {
            "type": "object",
            "required": ["median", "count"],
            "properties": {"median": {"type": "number"}, "count": {"type": "integer"}},
        }
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``src`` and a file that is not there."""
        check_src(params)

    @track_resources
    def work(self, ctx: Context, params: Params) -> Outputs:
        """Read the file and take the middle."""
        numbers = read_numbers(Path(params["src"]))
        return {"numbers.median_v1": {"median": statistics.median(numbers), "count": len(numbers)}}


if __name__ == "__main__":
    ComputeMedian.main()
