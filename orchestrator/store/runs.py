"""Write the run row, its inputs and its tasks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.errors import InfrastructureError
from orchestrator.states import RunState, TaskState, may_become
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, text_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task as it is planned: where it stands, which step it comes from, and the hash of its definition."""

    position: int
    task_id: str
    step: str
    definition_sha256: str
    status: TaskState = TaskState.PENDING
    status_reason: str = ""


def insert_run(
    database: Database,
    run_id: str,
    workspace_slug: str,
    recipe_name: str,
    *,
    left_out: Collection[str] = (),
    context: Mapping[str, str] | None = None,
) -> None:
    """Record a run that is about to begin; ``context`` maps the keys it starts with to their values as JSON text."""
    now = utc_now()
    database.write(
        "INSERT INTO runs (run_id, workspace_slug, recipe_name, status, created_at, seq) VALUES (?, ?, ?, ?, ?, 0)",
        (run_id, workspace_slug, recipe_name, RunState.PENDING, now),
    )
    payload = {
        "run_id": run_id,
        "workspace_slug": workspace_slug,
        "recipe_name": recipe_name,
        "left_out": list(left_out),
        "context": {key: text_digest(text) for key, text in (context or {}).items()},
    }
    database.write("UPDATE runs SET seq = ?", (append_event(database, "run.opened", payload),))


def insert_tasks(database: Database, tasks: Iterable[NewTask], *, seq: int) -> None:
    """Record the planned tasks in list order."""
    rows = (
        (task.position, task.task_id, task.step, task.definition_sha256, task.status, task.status_reason, seq)
        for task in tasks
    )
    database.write_many(
        "INSERT INTO tasks (position, task_id, step, definition_sha256, status, status_reason, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def put_inputs(database: Database, inputs: Mapping[str, Any]) -> None:
    """Record what the run was started with; a name that is there already is replaced."""
    database.write_many(
        "REPLACE INTO run_inputs (name, value_json) VALUES (?, ?)",
        ((name, json.dumps(value, ensure_ascii=False)) for name, value in inputs.items()),
    )


def set_run_state(database: Database, state: RunState, reason: str = "") -> None:
    """Move the run to ``state`` with an event; the same state again is no event."""
    run_id, status = database.one("SELECT run_id, status FROM runs") or ("", "")
    if status == state:
        return
    if not may_become(RunState(status), state):
        raise InfrastructureError(f"run {run_id} is {status} and cannot become {state}")
    seq = append_event(database, f"run.{state.lower()}", {"run_id": run_id, "from": status, "reason": reason})
    ended_at = None if state in (RunState.PENDING, RunState.RUNNING, RunState.PAUSED) else utc_now()
    database.write(
        "UPDATE runs SET status = ?, status_reason = ?, ended_at = ?, seq = ?", (state, reason, ended_at, seq)
    )


def set_task_states(database: Database, task_ids: Iterable[str], state: TaskState, reason: str) -> None:
    """Move tasks that no attempt explains, such as skipped and blocked ones, with one event for all of them."""
    names = list(task_ids)
    if not names:
        return
    seq = append_event(database, f"tasks.{state.lower()}", {"task_ids": names, "reason": reason})
    database.write_many(
        "UPDATE tasks SET status = ?, status_reason = ?, seq = ? WHERE task_id = ?",
        ((state, reason, seq, name) for name in names),
    )


def redefine_tasks(database: Database, definitions: Mapping[str, str], left_out: Collection[str] = ()) -> None:
    """Record the new definition hashes of tasks whose recipe or scriptlet changed, and make them pending again.

    Blocked tasks are pending again too, since what blocked them may now succeed; those ``left_out`` stay skipped.
    """
    if not definitions:
        return
    seq = append_event(database, "tasks.redefined", {"definitions": dict(definitions)})
    database.write_many(
        "UPDATE tasks SET definition_sha256 = ?, seq = ? WHERE task_id = ?",
        ((sha256, seq, name) for name, sha256 in definitions.items()),
    )
    database.write_many(
        "UPDATE tasks SET status = 'PENDING', status_reason = 'definition changed' WHERE task_id = ?",
        ((name,) for name in definitions if name not in left_out),
    )
    database.write("UPDATE tasks SET status = 'PENDING', status_reason = '', seq = ? WHERE status = 'BLOCKED'", (seq,))
