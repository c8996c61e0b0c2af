"""Ask the operator of an attempt to end it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.operators.assignments import find_assignment
from orchestrator.operators.by_hand import cancel_by_hand
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.attempts import note_cancel_asked
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class CancelAttempt(RunScriptlet):
    """Ask that an attempt ends; that it has is seen when it is polled.

    Params: ``run_root``, ``task_id`` and ``attempt_id``; optional ``fault``, what the attempt is told of as ended by,
    and ``is_passed_on``, true where somebody else asks the operator.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "attempt_id"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "attempt_id": {"type": "string"},
            "fault": {"type": "string"},
            "is_passed_on": {"type": "boolean"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Record the wish before anything is done, so that it is carried out after a crash too."""
        database = opened(params["run_root"])
        task_id, attempt_id = params["task_id"], params["attempt_id"]
        assignment = find_assignment(database, task_id, attempt_id)
        with database.transaction():
            note_cancel_asked(database, task_id, attempt_id, params.get("fault", "interrupted"))
        if not params.get("is_passed_on"):
            cancel_by_hand(database, assignment)
        return {"_attempt.cancel_asked_v1": {"attempt_id": attempt_id}}


if __name__ == "__main__":
    CancelAttempt.main()
