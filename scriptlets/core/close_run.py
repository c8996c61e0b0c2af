"""Record that a run has settled, and leave its context as a file for people and tools."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.files import replace_file
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt
from orchestrator.store.contexts import context_json
from orchestrator.store.database import Database, opened
from orchestrator.store.queries import read_open_attempts, read_tasks
from orchestrator.store.run_scriptlet import RunScriptlet
from orchestrator.store.runs import put_outputs, set_run_state, set_task_states


class CloseRun(RunScriptlet):
    """Settle a run.

    Params: ``run_root``, ``status`` (COMPLETED, FAILED, CANCELLED, or, for one that goes on later, PENDING or PAUSED)
    and, optional, ``reason`` and ``outputs``, the results that the recipe declares, by name. What has not ended in a
    run that is cancelled ends as cancelled too, and its questions are taken away.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "status"],
        "properties": {
            "run_root": {"type": "string"},
            "status": {"type": "string", "enum": ["COMPLETED", "FAILED", "CANCELLED", "PENDING", "PAUSED"]},
            "reason": {"type": "string"},
            "outputs": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write context.json before the state is durable: a settled run always has it."""
        run_root = Path(params["run_root"])
        database = opened(run_root)
        is_cancelled = params["status"] == RunState.CANCELLED
        take_questions_away = _taking_away(database) if is_cancelled else None
        with database.transaction():
            if params.get("outputs"):
                put_outputs(database, params["outputs"], self.name)
            if is_cancelled:
                _cancel_rest(database, params.get("reason", ""))
            set_run_state(database, RunState(params["status"]), params.get("reason", ""))
            replace_file(run_root / "context.json", context_json(database), mode=0o644)
        if take_questions_away:
            take_questions_away()
        return {"_run.closed_v1": {"run_id": run_root.name, "status": params["status"]}}


def _taking_away(database: Database) -> Callable[[], None]:
    """Give what takes the open questions of a run away from where people may answer them."""
    from orchestrator.operators.postings import withdraw_all  # noqa: PLC0415  few runs are cancelled
    from orchestrator.operators.questions import open_questions  # noqa: PLC0415  as above

    return functools.partial(withdraw_all, open_questions(database))


def _cancel_rest(database: Database, reason: str) -> None:
    """End the attempts and tasks of a run that nobody goes on with."""
    ended = AttemptResult(
        status=AttemptState.CANCELLED, task_status=TaskState.CANCELLED, outcome="run cancelled", reason=reason
    )
    for attempt in read_open_attempts(database):
        close_attempt(database, attempt.task_id, attempt.attempt_id, ended)
    left = [row.task_id for row in read_tasks(database) if row.status not in ENDED_TASKS]
    set_task_states(database, left, TaskState.CANCELLED, reason)


if __name__ == "__main__":
    CloseRun.main()
