"""Record what an ended attempt left in its directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.errors import UsageError
from orchestrator.operators.assignments import assignment_of, find_attempt
from orchestrator.operators.by_hand import look_by_hand
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.attempts import note_collected
from orchestrator.store.database import Database, opened
from orchestrator.store.run_scriptlet import RunScriptlet


class CollectAttempt(RunScriptlet):
    """Collect what an attempt left: regular files alone, each with its size and digest.

    Params: ``run_root``, ``task_id`` and ``attempt_id``; optional ``collected``, what was found where somebody has
    looked already. Of an attempt that has no directory of its own there is nothing to collect.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "attempt_id"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "attempt_id": {"type": "string"},
            "collected": {"type": ["object", "null"]},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Look, unless somebody has, and record the files."""
        database = opened(params["run_root"])
        task_id, attempt_id = params["task_id"], params["attempt_id"]
        collected = params["collected"] if "collected" in params else _look(database, task_id, attempt_id)
        if collected is None:
            return {}
        with database.transaction():
            note_collected(database, task_id, attempt_id, collected)
        return {"_attempt.collected_v1": {"attempt_id": attempt_id, **collected}}


def _look(database: Database, task_id: str, attempt_id: str) -> Params | None:
    row = find_attempt(database, task_id, attempt_id)
    if not row.is_external:
        return None
    seen = look_by_hand(database, [assignment_of(database, row)]).get(attempt_id)
    if seen is None or seen.done is None:
        raise UsageError(f"{task_id} has not ended", hint="ask again later")
    return dict(seen.done.operator_data)


if __name__ == "__main__":
    CollectAttempt.main()
