"""Let a run of MatterStack 0.2.x go on: record the recipe that it goes by, and settle what its runner left open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.jsonsafe import encode
from orchestrator.layout import INSTRUCTIONS
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, AttemptState, TaskState
from orchestrator.store.attempt_files import text_of
from orchestrator.store.attempts import AttemptResult, close_attempt
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from orchestrator.store.queries import (
    AttemptRow,
    TaskRow,
    read_attempt,
    read_open_attempts,
    read_run,
    read_tasks,
)
from orchestrator.store.runs import put_inputs

OUTCOME = "left behind"
_NOT_ASKED = frozenset({AttemptState.CREATED, AttemptState.SUBMITTING})
_ENDS = {AttemptState.COMPLETED: TaskState.COMPLETED, AttemptState.CANCELLED: TaskState.CANCELLED}


def inherit_run(
    database: Database,
    inputs: Mapping[str, Any],
    definitions: Mapping[str, str],
    allowed: frozenset[str],
) -> None:
    """Record what a run goes by, in the transaction of the caller: its inputs, and the digest of each task in order.

    A question that was put to people stays open. Every other attempt that had not ended is lost, since nobody here can
    know what became of it, and its task is pending. ``allowed`` are the tasks that may fail.
    """
    rows = read_tasks(database)
    open_attempts = read_open_attempts(database)
    questions = {row.task_id: row for row in open_attempts if _is_question(row, database)}
    states = dict(_mended(database, rows, frozenset(questions), allowed))
    payload = {
        "run_id": read_run(database).run_id,
        "recipe_sha256": inputs["recipe_sha256"],
        "definitions": dict(definitions),
        "tasks": {name: state.value for name, state in states.items()},
        "questions": [row.attempt_id for row in questions.values()],
    }
    seq = append_event(database, "run.inherited", payload)
    put_inputs(database, inputs)
    _put_in_order(database, {row.task_id: row.position for row in rows}, list(definitions))
    database.write_many(
        "UPDATE tasks SET definition_sha256 = ?, seq = ? WHERE task_id = ?",
        ((sha256, seq, name) for name, sha256 in definitions.items()),
    )
    database.write_many(
        "UPDATE tasks SET status = ? WHERE task_id = ?", ((state, name) for name, state in states.items())
    )
    for row in questions.values():
        _adopt(database, row, seq)
    ended = {row.task_id: row.status for row in rows if row.status in ENDED_TASKS}
    for row in open_attempts:
        if row.attempt_id not in payload["questions"]:
            _lose(database, row, ended.get(row.task_id, TaskState.PENDING))


def _is_question(row: AttemptRow, database: Database) -> bool:
    is_asked = (row.operator_key or "").startswith("human.") and row.status not in _NOT_ASKED
    return is_asked and bool(text_of(row, database.run_root, INSTRUCTIONS))


def _mended(
    database: Database, rows: tuple[TaskRow, ...], asking: frozenset[str], allowed: frozenset[str]
) -> Iterator[tuple[str, TaskState]]:
    """Give the tasks that do not stand where their last attempt says, which a crash could leave so."""
    is_over = read_run(database).status in ENDED_RUNS
    for row in rows:
        last = read_attempt(database, row.position, row.attempt_count) if row.attempt_count else None
        state = TaskState.WAITING_EXTERNAL if row.task_id in asking else _stands(row, last, allowed, is_over=is_over)
        if state is not row.status:
            yield row.task_id, state


def _stands(row: TaskRow, last: AttemptRow | None, allowed: frozenset[str], *, is_over: bool) -> TaskState:
    """Say where a task stands; one that may fail was left pending by the earlier program when it had failed."""
    if row.status in (TaskState.RUNNING, TaskState.WAITING_EXTERNAL):
        if last is None:
            return TaskState.PENDING
        return row.status if last.ended_at is None else _ENDS.get(last.status, TaskState.FAILED)
    if row.status is TaskState.BLOCKED and not is_over:
        return TaskState.PENDING
    has_failed = last is not None and last.ended_at is not None and last.status not in _ENDS
    if row.status is TaskState.PENDING and has_failed and row.task_id in allowed:
        return TaskState.FAILED
    return row.status


def _put_in_order(database: Database, places: Mapping[str, int], names: list[str]) -> None:
    """Number the tasks in the order in which they could run; the earlier program kept them in any order."""
    moves = [(-1 - place, places[name]) for place, name in enumerate(names)]
    if all(-1 - target == place for target, place in moves):
        return
    database.write("PRAGMA defer_foreign_keys = ON")
    for table, column in (("tasks", "position"), ("task_attempts", "task_position")):
        database.write_many(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", iter(moves))  # noqa: S608  ours
        database.write(f"UPDATE {table} SET {column} = -1 - {column}")  # noqa: S608  ours


def _adopt(database: Database, row: AttemptRow, seq: int) -> None:
    """Let a question be looked after as if it had been asked here: its words are in the attempt's directory alone."""
    asked = {"instructions": text_of(row, database.run_root, INSTRUCTIONS)}
    work = {"work": {"step": row.task_id, "files": {}, "response_schema": {}, "approvals": 1, "then": "fail"}}
    database.write(
        "UPDATE task_attempts SET params_json = ?, operator_data_json = json_patch(operator_data_json, ?), seq = ?"
        " WHERE attempt_id = ?",
        (encode(asked), encode(work), seq, row.attempt_id),
    )


def _lose(database: Database, row: AttemptRow, task_state: TaskState) -> None:
    known = f" as {row.external_id}" if row.external_id else ""
    reason = f"MatterStack 0.2 had it{known} when its runner stopped; what became of it is not known"
    lost = AttemptResult(status=AttemptState.LOST, task_status=task_state, outcome=OUTCOME, reason=reason)
    close_attempt(database, row.task_id, row.attempt_id, lost)
