"""Record the end of an attempt: state, envelope, context writes and event, as one fact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.context import Change
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class CloseAttempt(RunScriptlet):
    """Close an attempt.

    Params: ``run_root``, ``task_id``, ``attempt_id``, ``status`` (of the attempt), ``task_status`` (where it leaves the
    task) and, all optional, ``outcome``, ``reason``, ``envelope``, ``exit_code``, ``stdout``, ``stderr``, ``writes``
    (triples of key, value as JSON text or null, author), ``duration_sec``, ``cpu_sec``, ``max_rss_mb``,
    ``operator_data``.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "attempt_id", "status", "task_status"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "attempt_id": {"type": "string"},
            "status": {"type": "string"},
            "task_status": {"type": "string"},
            "outcome": {"type": "string"},
            "reason": {"type": "string"},
            "envelope": {"type": ["object", "null"]},
            "exit_code": {"type": ["integer", "null"]},
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
            "writes": {"type": "array"},
            "duration_sec": {"type": ["number", "null"]},
            "cpu_sec": {"type": ["number", "null"]},
            "max_rss_mb": {"type": ["number", "null"]},
            "operator_data": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write everything in one transaction."""
        database = opened(params["run_root"])
        with database.transaction():
            seq = close_attempt(database, params["task_id"], params["attempt_id"], _result(params))
        return {"_attempt.closed_v1": {"attempt_id": params["attempt_id"], "seq": seq}}


def _result(params: Params) -> AttemptResult:
    return AttemptResult(
        status=AttemptState(params["status"]),
        task_status=TaskState(params["task_status"]),
        outcome=params.get("outcome", ""),
        reason=params.get("reason", ""),
        envelope=params.get("envelope"),
        exit_code=params.get("exit_code"),
        stdout=params.get("stdout", ""),
        stderr=params.get("stderr", ""),
        changes=tuple(Change(*write) for write in params.get("writes", ())),
        duration_sec=params.get("duration_sec"),
        cpu_sec=params.get("cpu_sec"),
        max_rss_mb=params.get("max_rss_mb"),
        operator_data=params.get("operator_data", {}),
    )


if __name__ == "__main__":
    CloseAttempt.main()
