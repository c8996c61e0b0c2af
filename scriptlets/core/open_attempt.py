"""Record the intent to attempt a task, before anything of it happens."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.scriptlet import Outputs, Params
from orchestrator.store.attempts import open_attempt
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class OpenAttempt(RunScriptlet):
    """Open the next attempt at a task.

    Params: ``run_root``, ``task_id``, ``params`` (the step's arguments as resolved) and ``operator_key``; optional
    ``work``, what an operator beside the runner is to do in a directory of the attempt's own.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the attempt and mark its task as running, in one transaction."""
        database = opened(params["run_root"])
        with database.transaction():
            attempt_id, index = open_attempt(
                database,
                params["task_id"],
                params.get("params", {}),
                params.get("operator_key", "local.default"),
                params.get("work"),
            )
        opened_attempt = {"task_id": params["task_id"], "attempt_id": attempt_id, "attempt_index": index}
        return {"_attempt.opened_v1": opened_attempt}


if __name__ == "__main__":
    OpenAttempt.main()
