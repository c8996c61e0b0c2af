"""Look at what the steps of a run used: time and memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar, Dict

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema

METRICS_KEY = "_runner.step_metrics_v1"
LIMITS = {"max_duration_sec": "duration_sec", "max_rss_mb": "max_rss_mb"}


class ResourceAudit(BaseScriptlet):
    """Write ``audit.resources_v1``: totals, the slowest step, the highest memory, and which steps were over a limit.

    Params, all optional: ``max_duration_sec`` and ``max_rss_mb``, the limits of a step; ``strict``, whether to fail
    where one was over. It reads ``_runner.step_metrics_v1``, which the runner gives to steps that need it: an object
    from task to ``duration_sec``, ``cpu_sec``, ``max_rss_mb`` (10^6 bytes) and ``attempts``.
    """

    needs = ("_runner.step_metrics_v1",)
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "max_duration_sec": {"type": "number", "description": "the limit of a step, in seconds"},
            "max_rss_mb": {"type": "number", "description": "the limit of a step, in MB"},
            "strict": {"type": "boolean", "description": "whether to fail where one was over"},
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "audit.resources_v1": {
            "type": "object",
            "required": ["tasks", "total_duration_sec", "slowest", "peak_rss_mb", "over"],
            "properties": {
                "tasks": {"type": "integer"},
                "total_duration_sec": {"type": "number"},
                "slowest": {"type": "string"},
                "peak_rss_mb": {"type": "number"},
                "over": {"type": "array", "items": {"type": "string"}},
            },
        }
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Add up, and compare with the limits."""
        metrics = ctx.get(METRICS_KEY)
        if not isinstance(metrics, dict) or not metrics:
            raise ValueError(f"there is no {METRICS_KEY}; run this step in a recipe, behind others")
        limits = {name: params[limit] for limit, name in LIMITS.items() if limit in params}
        over = [
            task for task, used in metrics.items() if any((used[name] or 0) > most for name, most in limits.items())
        ]
        if over and params.get("strict"):
            raise ValueError(f"over the limits {limits}: {', '.join(over)}")
        return {"audit.resources_v1": {**_totals(metrics), "over": over}}


def _totals(metrics: Dict[str, Any]) -> Dict[str, Any]:
    durations = {task: used["duration_sec"] or 0.0 for task, used in metrics.items()}
    return {
        "tasks": len(metrics),
        "total_duration_sec": round(sum(durations.values()), 6),
        "slowest": max(durations, key=lambda task: durations[task]),
        "peak_rss_mb": max((used["max_rss_mb"] or 0.0) for used in metrics.values()),
    }


if __name__ == "__main__":
    ResourceAudit.main()
