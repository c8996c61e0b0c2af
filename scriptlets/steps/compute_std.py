"""Compute the standard deviation of a column of numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context, track_resources
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.compute_numbers import describe
from scriptlets.steps.load_numbers import check_src, read_numbers


class ComputeStd(BaseScriptlet):
    """Write ``numbers.std_v1``, an object with ``std``, the deviation of a sample (n-1), and ``count``.

    Params: ``src``, a text file with two numbers or more, one a line; ``key``, where to write instead.
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
        """Read the file and compute in exact fractions."""
        stats = describe(read_numbers(Path(params["src"])))
        if "std" not in stats:
            raise ValueError(f"{params['src']} holds one number; a deviation needs two")
        return {params.get("key", "numbers.std_v1"): {"std": stats["std"], "count": stats["count"]}}


if __name__ == "__main__":
    ComputeStd.main()
