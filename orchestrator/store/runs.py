"""Write the run row, its inputs and its tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.context import Change
from orchestrator.errors import InfrastructureError
from orchestrator.jsonsafe import JsonValue, checked_text, dumps, encode
from orchestrator.states import RunState, TaskState, may_become
from orchestrator.store.contexts import write_changes
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, text_digest

OUTPUTS_KEY = "_runner.outputs_v1"
ROUND_KEY = "_loop.index_v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task as it is planned: where it stands, which step it comes from, and the hash of its definition."""

    position: int
    task_id: str
    step: str
    definition_sha256: str
    status: TaskState = TaskState.PENDING
    status_reason: str = ""
    phase: int = 0


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
        (
            task.position,
            task.task_id,
            task.step,
            task.phase,
            task.definition_sha256,
            task.status,
            task.status_reason,
            seq,
        )
        for task in tasks
    )
    database.write_many(
        "INSERT INTO tasks (position, task_id, step, phase, definition_sha256, status, status_reason, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
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


def put_outputs(database: Database, outputs: Mapping[str, JsonValue], who: str) -> None:
    """Record the results that a recipe declares, as one value of the context."""
    change = Change(OUTPUTS_KEY, dumps(dict(outputs), "outputs"), who)
    seq = append_event(database, "run.outputs", {"writes": {change.key: text_digest(str(change.text))}})
    write_changes(database, [change], attempt_id=None, seq=seq)


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


def round_id(step: str, number: int) -> str:
    """Give the id of a step's task in a round of a recipe that repeats its steps."""
    return step if number == 1 else f"{step}@{number}"


def add_round(
    database: Database, number: int, steps: Sequence[Mapping[str, Any]], *, within: str = ""
) -> tuple[int, Change]:
    """Record another round of steps, each as planned; return the first position and the write of the round's number.

    The steps are those of the run, or those of the recipe that a task uses, which has a context of its own.
    """
    change = Change(ROUND_KEY, str(number), "repeat")
    if within:
        return _add_round_within(database, within, number, steps), change
    left_out = [round_id(step["step"], number) for step in steps if "status" in step]
    payload = {"round": number, "task_id": "", "left_out": left_out, "writes": {ROUND_KEY: text_digest(str(number))}}
    seq = append_event(database, "run.round", payload)
    write_changes(database, [change], attempt_id=None, seq=seq)
    (first,) = database.one("SELECT max(position) + 1 FROM tasks") or (0,)
    tasks = (
        NewTask(
            position=first + index,
            task_id=round_id(step["step"], number),
            step=step["step"],
            definition_sha256=step["definition_sha256"],
            status=TaskState(step.get("status", TaskState.PENDING)),
            status_reason=step.get("status_reason", ""),
        )
        for index, step in enumerate(steps)
    )
    insert_tasks(database, tasks, seq=seq)
    return int(first), change


def _add_round_within(database: Database, task_id: str, number: int, steps: Sequence[Mapping[str, Any]]) -> int:
    payload = {"round": number, "task_id": task_id, "left_out": [], "writes": {}}
    seq = append_event(database, "run.round", payload)
    position, phase = database.one("SELECT position, phase FROM tasks WHERE task_id = ?", (task_id,)) or (0, 0)
    names = [f"{task_id}/{round_id(step['step'], number)}" for step in steps]
    return _insert_steps(database, names, position, phase, steps, seq=seq)


def _insert_steps(
    database: Database,
    names: Sequence[str],
    position: int,
    phase: int,
    steps: Sequence[Mapping[str, Any]],
    *,
    seq: int,
) -> int:
    """Make one task of each step of a recipe that a task uses; return the first position."""
    (first,) = database.one("SELECT max(position) + 1 FROM tasks") or (0,)
    rows = (
        (first + index, name, step["step"], step["definition_sha256"])
        for index, (name, step) in enumerate(zip(names, steps, strict=True))
    )
    database.write_many(
        "INSERT INTO tasks (position, task_id, step, definition_sha256, phase, status, parent, seq)"
        " VALUES (?, ?, ?, ?, ?, 'PENDING', ?, ?)",
        ((*row, phase, position, seq) for row in rows),
    )
    return int(first)


def expand_task(database: Database, task_id: str, items: Sequence[tuple[str, str]]) -> int:
    """Make one task of each item, given as id and JSON text, of a task that fans out; return the first position."""
    position, step, definition, phase = _pending_task(database, task_id)
    digest = hashlib.sha256("\n".join(text for _, text in items).encode()).hexdigest()
    payload = {"task_id": task_id, "count": len(items), "items_sha256": digest}
    seq = append_event(database, "task.expanded", payload)
    database.write(
        "UPDATE tasks SET status = 'RUNNING', status_reason = '', seq = ? WHERE position = ?", (seq, position)
    )
    (first,) = database.one("SELECT max(position) + 1 FROM tasks") or (0,)
    database.write_many(
        "INSERT INTO tasks (position, task_id, step, phase, definition_sha256, status, parent, item_index, item_id,"
        " item_json, seq) VALUES (?, ?, ?, ?, ?, 'PENDING', ?, ?, ?, ?, ?)",
        (
            (first + index, f"{task_id}[{name}]", step, phase, definition, position, index, name, text, seq)
            for index, (name, text) in enumerate(items)
        ),
    )
    return int(first)


def use_recipe(
    database: Database,
    task_id: str,
    inputs: Mapping[str, JsonValue],
    steps: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> int:
    """Make one task, of the name at its place, of each step of the recipe that a task uses, with these inputs.

    Return the first position.
    """
    position, _, _, phase = _pending_task(database, task_id)
    text = dumps(dict(inputs), "inputs")
    payload = {"task_id": task_id, "count": len(steps), "items_sha256": text_digest(text)}
    seq = append_event(database, "task.expanded", payload)
    database.write(
        "UPDATE tasks SET status = 'RUNNING', status_reason = '', inputs_json = ?, seq = ? WHERE position = ?",
        (text, seq, position),
    )
    return _insert_steps(database, names, position, phase, steps, seq=seq)


def collect_task(
    database: Database,
    task_id: str,
    state: TaskState,
    reason: str = "",
    changes: tuple[Change, ...] | None = None,
) -> tuple[Change, ...]:
    """End a task that was expanded, with what it writes; return that. It writes nothing where it did not succeed.

    Without ``changes``, what its items wrote becomes one map a key, from item id to value, in their order.
    """
    (position,) = database.one("SELECT position FROM tasks WHERE task_id = ?", (task_id,)) or (0,)
    if state is not TaskState.COMPLETED:
        changes = ()
    elif changes is None:
        changes = tuple(_collected(database, position, task_id))
    payload = {
        "task_id": task_id,
        "task_status": state.value,
        "reason": reason,
        "writes": {change.key: text_digest(str(change.text)) for change in changes},
    }
    seq = append_event(database, "task.collected", payload)
    write_changes(database, changes, attempt_id=None, seq=seq, task_position=position)
    database.write(
        "UPDATE tasks SET status = ?, status_reason = ?, seq = ? WHERE position = ?", (state, reason, seq, position)
    )
    return changes


def reset_tasks(database: Database, pending: Sequence[str], reopened: Sequence[str], reason: str) -> None:
    """Make tasks pending again, and fan-outs running again; their writes and failures so far count no more."""
    payload = {"task_ids": list(pending), "reopened": list(reopened), "reason": reason}
    seq = append_event(database, "tasks.reset", payload)
    states = [(TaskState.PENDING, name) for name in pending] + [(TaskState.RUNNING, name) for name in reopened]
    database.write_many(
        "UPDATE tasks SET status = ?, status_reason = ?, forgiven = attempt_count, seq = ? WHERE task_id = ?",
        ((state, reason, seq, name) for state, name in states),
    )
    roll_back(database, [name for _, name in states])


def roll_back(database: Database, task_ids: Iterable[str]) -> None:
    """Let all that some tasks wrote count no more, in the transaction of the caller that records why."""
    database.write_many(
        "UPDATE context_history SET rolled_back = 1"
        " WHERE task_position = (SELECT position FROM tasks WHERE task_id = ?)",
        ((name,) for name in task_ids),
    )


def refuse_writes(database: Database, task_id: str, reason: str) -> None:
    """Take back the success of a task, and with it all that it wrote."""
    seq = append_event(database, "task.refused", {"task_id": task_id, "reason": reason})
    roll_back(database, [task_id])
    database.write(
        "UPDATE tasks SET status = 'FAILED', status_reason = ?, seq = ? WHERE task_id = ?", (reason, seq, task_id)
    )


def _pending_task(database: Database, task_id: str) -> tuple[int, str, str, int]:
    row = database.one(
        "SELECT position, step, definition_sha256, phase, status FROM tasks WHERE task_id = ?", (task_id,)
    )
    if row is None or not may_become(TaskState(row[4]), TaskState.RUNNING):
        raise InfrastructureError(f"the run has no task {task_id!r} that could be expanded")
    return row[0], row[1], row[2], row[3]


def _collected(database: Database, position: int, who: str) -> Iterator[Change]:
    rows = database.all(
        "SELECT key, item_id, value_json FROM context_history JOIN tasks ON position = task_position"
        " WHERE parent = ? AND rolled_back = 0 AND value_json IS NOT NULL ORDER BY key, item_index, number",
        (position,),
    )
    for key, group in groupby(rows, key=itemgetter(0)):
        members = {encode(item): text for _, item, text in group}
        text = "{" + ",".join(f"{item}:{value}" for item, value in members.items()) + "}"
        yield Change(key, checked_text(text, key), who)


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
