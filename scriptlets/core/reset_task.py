"""Make one task of a run pending again, or give it up, with all that it became and wrote."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.errors import UsageError
from orchestrator.files import replace_file
from orchestrator.keys import did_you_mean
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.contexts import context_json
from orchestrator.store.database import Database, opened
from orchestrator.store.queries import TaskRow, read_open_attempts, read_run, read_tasks
from orchestrator.store.reopening import give_up, run_again, with_all_below
from orchestrator.store.run_scriptlet import RunScriptlet
from orchestrator.store.runs import set_run_state


class ResetTask(RunScriptlet):
    """Reset or delete a task.

    Params: ``run_root``, ``task_id``, ``action`` (``reset`` makes it pending, with what was blocked, and opens a run
    that has ended; ``delete`` ends it as cancelled; attempts are kept) and, optional, ``reason``.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "task_id", "action"],
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "action": {"type": "string", "enum": ["reset", "delete"]},
            "reason": {"type": "string"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write everything in one transaction, and the copy of the context before it is durable."""
        database, act = opened(params["run_root"]), _ACTIONS[params["action"]]
        with database.transaction():
            rows = read_tasks(database)
            task = _found(database, rows, params["task_id"])
            chosen = with_all_below(rows, task.position)
            _refuse_open(database, {rows[position].task_id for position in chosen})
            act(database, rows, chosen, params.get("reason", ""))
            replace_file(database.run_root / "context.json", context_json(database), mode=0o644)
        return {"_task.reset_v1": {"task_id": task.task_id, "action": params["action"]}}


def _found(database: Database, rows: Sequence[TaskRow], task_id: str) -> TaskRow:
    found = {row.task_id: row for row in rows}
    if task_id not in found:
        message = f"run {database.run_root.name} has no task {task_id!r}"
        raise UsageError(message, hint=did_you_mean(task_id, found) or "see 'matterstack status'")
    return found[task_id]


def _refuse_open(database: Database, names: Collection[str]) -> None:
    for attempt in read_open_attempts(database):
        if attempt.task_id in names:
            run_id = database.run_root.name
            raise UsageError(
                f"attempt {attempt.attempt_id} at {attempt.task_id} is open",
                hint=f"end it with 'matterstack cancel-attempt', or go on with: matterstack resume {run_id}",
            )


def _reset(database: Database, rows: Sequence[TaskRow], chosen: Collection[int], reason: str) -> None:
    if read_run(database).status in ENDED_RUNS:
        set_run_state(database, RunState.PENDING, reason)
    blocked = {row.position for row in rows if row.status is TaskState.BLOCKED}
    run_again(database, rows, blocked.union(chosen), reason)


def _delete(database: Database, rows: Sequence[TaskRow], chosen: Collection[int], reason: str) -> None:
    task = rows[min(chosen)]
    if task.parent is not None:
        whole = rows[task.parent].task_id
        raise UsageError(f"{task.task_id} is part of {whole}, which collected it", hint=f"delete {whole}, or reset it")
    give_up(database, rows, chosen, reason)


_ACTIONS = {"reset": _reset, "delete": _delete}


if __name__ == "__main__":
    ResetTask.main()
