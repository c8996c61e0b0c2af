"""Open a run that has ended once more, so that what failed or was not begun in it can be done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.errors import UsageError
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.database import opened
from orchestrator.store.queries import read_run, read_tasks
from orchestrator.store.reopening import run_again
from orchestrator.store.run_scriptlet import RunScriptlet
from orchestrator.store.runs import set_run_state

_AGAIN = frozenset({TaskState.FAILED, TaskState.BLOCKED, TaskState.CANCELLED})


class ReviveRun(RunScriptlet):
    """Make an ended run pending, with its tasks that failed, were blocked or were cancelled.

    Params: ``run_root`` and, optional, ``reason``.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root"],
        "properties": {
            "run_root": {"type": "string"},
            "reason": {"type": "string"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write everything in one transaction."""
        database = opened(params["run_root"])
        with database.transaction():
            run, rows = read_run(database), read_tasks(database)
            if run.status not in ENDED_RUNS:
                hint = f"see: matterstack explain {run.run_id}"
                raise UsageError(f"run {run.run_id} is {run.status} and has not ended", hint=hint)
            reason = params.get("reason", "")
            set_run_state(database, RunState.PENDING, reason)
            again = [row.position for row in rows if row.status in _AGAIN]
            if again:
                run_again(database, rows, again, reason)
        return {"_run.revived_v1": {"run_id": run.run_id, "from": run.status.value, "tasks": len(again)}}


if __name__ == "__main__":
    ReviveRun.main()
