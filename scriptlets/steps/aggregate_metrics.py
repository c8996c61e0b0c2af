"""Put several values of the context into one, for reports and comparisons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema


class AggregateMetrics(BaseScriptlet):
    """Write ``metrics.summary_v1``, an object that holds each of some context values under its key.

    Params: ``keys``, the context keys; ``key``, where to write instead.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["keys"],
        "additionalProperties": False,
        "properties": {
            "keys": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "the context keys"},
            "key": {"type": "string", "description": "the context key to write instead"},
        },
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``keys`` and keys that the context does not have."""
        keys = params.get("keys")
        if not isinstance(keys, list) or not keys:
            raise ValueError("missing keys: a list of context keys")
        for key in keys:
            ctx.require(key)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Collect the values."""
        return {params.get("key", "metrics.summary_v1"): {key: ctx.get(key) for key in params["keys"]}}


if __name__ == "__main__":
    AggregateMetrics.main()
