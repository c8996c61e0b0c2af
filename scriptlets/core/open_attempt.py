"""Record the intent to attempt a task, before anything of it happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.attempts import open_attempt
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class OpenAttempt(RunScriptlet):
    """Open the next attempt at a task.

    Params: ``run_root``, ``task_id`` and ``operator_key``, that of the step's route; optional ``params``, the step's
    arguments as resolved, and ``work``, what an operator beside the runner is to do in the attempt's own directory.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "operator_key"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "params": {"type": "object"},
            "operator_key": {"type": "string"},
            "work": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the attempt and mark its task as running, in one transaction."""
        database = opened(params["run_root"])
        with database.transaction():
            attempt_id, index = open_attempt(
                database,
                params["task_id"],
                params.get("params", {}),
                params["operator_key"],
                params.get("work"),
            )
        opened_attempt = {"task_id": params["task_id"], "attempt_id": attempt_id, "attempt_index": index}
        return {"_attempt.opened_v1": opened_attempt}


if __name__ == "__main__":
    OpenAttempt.main()
