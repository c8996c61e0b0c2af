"""Scale the loaded numbers to the range from 0 to 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import numbers_of


class NormalizeNumbers(BaseScriptlet):
    """Read ``numbers.values_v1`` and write ``numbers.normalized_v1``, each value as (x - min) / (max - min).

    Params: none. A constant column becomes zeros.
    """

    needs = ("numbers.values_v1",)
    params_schema: ClassVar[Schema] = {"type": "object", "additionalProperties": False, "properties": {}}
    outputs_schema: ClassVar[Schema] = {"numbers.normalized_v1": {"type": "array", "items": {"type": "number"}}}

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Scale the values."""
        values = numbers_of(ctx, "numbers.values_v1")
        low, spread = min(values), max(values) - min(values)
        return {"numbers.normalized_v1": [(value - low) / spread if spread else 0.0 for value in values]}


if __name__ == "__main__":
    NormalizeNumbers.main()
