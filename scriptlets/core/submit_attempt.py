"""Put an attempt into the hands of the operator that carries it out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.operators.assignments import find_assignment
from orchestrator.operators.by_hand import submit_by_hand
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.attempts import note_sighting
from orchestrator.store.database import opened
from orchestrator.store.run_scriptlet import RunScriptlet


class SubmitAttempt(RunScriptlet):
    """Submit an attempt that is open.

    Params: ``run_root``, ``task_id`` and ``attempt_id``; optional ``sighting``, what the operator has answered where it
    was asked already: ``state``, ``external_id`` and ``operator_data``.
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
        """Ask the operator, unless it was asked, and record its answer."""
        database = opened(params["run_root"])
        task_id, attempt_id = params["task_id"], params["attempt_id"]
        sighting = params.get("sighting")
        if sighting is None:
            sighting = submit_by_hand(database, find_assignment(database, task_id, attempt_id)).to_json()
        with database.transaction():
            note_sighting(database, task_id, attempt_id, sighting)
        return {"_attempt.submitted_v1": {"attempt_id": attempt_id, "status": sighting["state"]}}


if __name__ == "__main__":
    SubmitAttempt.main()
