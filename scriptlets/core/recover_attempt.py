"""Find out what became of an attempt whose submission nobody has recorded, after a crash."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.operators.assignments import find_assignment, find_attempt
from orchestrator.operators.by_hand import submit_by_hand
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import AttemptState
from orchestrator.store.attempts import note_sighting
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class RecoverAttempt(RunScriptlet):
    """Recover an attempt that is in the state SUBMITTING: its operator finds what was begun, or begins it.

    Params as of `SubmitAttempt`. An attempt that was submitted is left as it is.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "attempt_id"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "attempt_id": {"type": "string"},
            "sighting": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Ask the operator, unless it was asked, and record where the attempt stands."""
        database = opened(params["run_root"])
        task_id, attempt_id = params["task_id"], params["attempt_id"]
        status = find_attempt(database, task_id, attempt_id).status
        if status is not AttemptState.SUBMITTING:
            return {"_attempt.recovered_v1": {"attempt_id": attempt_id, "status": status.value}}
        sighting = params.get("sighting")
        if sighting is None:
            sighting = submit_by_hand(database, find_assignment(database, task_id, attempt_id)).to_json()
        with database.transaction():
            note_sighting(database, task_id, attempt_id, sighting)
        return {"_attempt.recovered_v1": {"attempt_id": attempt_id, "status": sighting["state"]}}


if __name__ == "__main__":
    RecoverAttempt.main()
