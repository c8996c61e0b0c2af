"""Fail on purpose, to see what a recipe makes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import make_directory, replace_file
from orchestrator.scriptlet import Outputs, Params, Schema


class InjectFailure(BaseScriptlet):
    """Fail the first ``times`` times, then write ``failure.injected_v1`` with the number of failures.

    Params: ``times``, how often (1 when left out; -1 is always); ``counter``, a file that counts the calls over all
    attempts and runs; ``reason``, what to say.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "times": {"type": "integer", "description": "how often to fail; 1 when left out, -1 is always"},
            "counter": {"type": "string", "description": "a file that counts the calls"},
            "reason": {"type": "string", "description": "what to say"},
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "failure.injected_v1": {
            "type": "object",
            "required": ["failures"],
            "properties": {"failures": {"type": "integer"}},
        }
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``counter``, where one is needed."""
        if params.get("times", 1) >= 0 and "counter" not in params:
            raise ValueError("missing counter: a file that counts the calls")

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Count this call, and fail while there were too few."""
        times, reason = params.get("times", 1), params.get("reason", "injected failure")
        if times < 0:
            raise ValueError(reason)
        path = Path(params["counter"])
        calls = int(path.read_text(encoding="utf-8")) if path.is_file() else 0
        if calls < times:
            make_directory(path.absolute().parent)
            replace_file(path, str(calls + 1).encode(), mode=0o644)
            raise ValueError(f"{reason} ({calls + 1} of {times})")
        return {"failure.injected_v1": {"failures": calls}}


if __name__ == "__main__":
    InjectFailure.main()
