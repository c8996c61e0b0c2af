"""Record where attempts stand that operators have."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.operators.assignments import Sighting, assignment_of, find_attempt
from orchestrator.operators.by_hand import look_by_hand
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import ENDED_ATTEMPTS, AttemptState
from orchestrator.store.attempts import note_sighting
from orchestrator.store.database import Database, opened
from orchestrator.store.queries import AttemptRow, read_open_attempts
from orchestrator.store.run_scriptlet import RunScriptlet

ENDED = "ended"


class PollAttempts(RunScriptlet):
    """Ask operators where attempts stand, and record what is different from before.

    Params: ``run_root``; optional ``task_id`` and ``attempt_id``, one attempt instead of all that operators have, with
    ``sighting``, what its operator has said where it was asked already. One that has ended is left to be collected.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root"],
        "dependentRequired": {
            "sighting": ["task_id", "attempt_id"],
            "task_id": ["attempt_id"],
            "attempt_id": ["task_id"],
        },
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "attempt_id": {"type": "string"},
            "sighting": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Record the states."""
        database = opened(params["run_root"])
        if "sighting" in params:
            found = [(params["task_id"], params["attempt_id"], params["sighting"])]
        else:
            found = _look(database, _with_operators(database, params))
        with database.transaction():
            for task_id, attempt_id, sighting in found:
                if sighting["state"] != ENDED:
                    note_sighting(database, task_id, attempt_id, sighting)
        return {"_attempts.polled_v1": {attempt_id: sighting["state"] for _, attempt_id, sighting in found}}


def _with_operators(database: Database, params: Params) -> list[AttemptRow]:
    if "attempt_id" in params:
        rows = [find_attempt(database, params["task_id"], params["attempt_id"])]
    else:
        rows = list(read_open_attempts(database))
    return [row for row in rows if row.is_external and row.status not in {AttemptState.SUBMITTING, *ENDED_ATTEMPTS}]


def _look(database: Database, rows: Sequence[AttemptRow]) -> list[tuple[str, str, Mapping[str, Any]]]:
    seen = look_by_hand(database, [assignment_of(database, row) for row in rows])
    return [(row.task_id, row.attempt_id, {"state": _state(row, seen.get(row.attempt_id))}) for row in rows]


def _state(row: AttemptRow, sighting: Sighting | None) -> str:
    if sighting is None:
        return row.status.value
    return ENDED if sighting.done is not None else sighting.state.value


if __name__ == "__main__":
    PollAttempts.main()
