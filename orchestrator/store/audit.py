"""Hold the rows of a state file against its history: what no event explains was changed from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.events import Event, chain_fault, text_digest

# Payloads have no blanks around them, which json.loads would look for, at some cost where events are very many.
_decode = json.JSONDecoder().raw_decode


@dataclass(slots=True)
class _Told:
    """What the events say of the run; tasks without an event are pending and were never attempted."""

    run: str = RunState.PENDING
    tasks: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    writes: dict[str, dict[str, str | None]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    wiring: str = ""


def history_fault(database: Database) -> str:
    """Check the events, and the other rows against them; return an empty text, or what is wrong first."""
    told = _Told()
    if fault := chain_fault(database, partial(_take, told)):
        return fault
    return next(_differences(database, told), "")


def _take(told: _Told, event: Event) -> None:
    if take := _TAKERS.get(event.kind):
        payload, _ = _decode(event.payload_json)
        take(told, payload)


def _take_run_state(state: RunState, told: _Told, _: Mapping[str, Any]) -> None:
    told.run = state


def _take_task_states(state: TaskState, told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks.update(dict.fromkeys(payload["task_ids"], state))


def _take_run_opened(told: _Told, payload: Mapping[str, Any]) -> None:
    told.left_out = frozenset(payload["left_out"])
    told.tasks.update(dict.fromkeys(told.left_out, TaskState.SKIPPED))
    told.first = payload["context"]


def _take_run_migrated(told: _Told, payload: Mapping[str, Any]) -> None:
    told.run = payload["status"]
    told.tasks = {name: task["status"] for name, task in payload["tasks"].items()}
    told.counts = {name: task["attempts"] for name, task in payload["tasks"].items()}
    told.attempts = dict(payload["attempts"])


def _take_run_inherited(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks.update(payload["tasks"])


def _take_run_outputs(told: _Told, payload: Mapping[str, Any]) -> None:
    told.first = {**told.first, **payload["writes"]}


def _take_run_round(told: _Told, payload: Mapping[str, Any]) -> None:
    _take_run_outputs(told, payload)
    told.tasks.update(dict.fromkeys(payload["left_out"], TaskState.SKIPPED))


def _take_attempt_opened(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = TaskState.RUNNING
    told.counts[payload["task_id"]] = payload["attempt_index"]
    told.attempts[payload["attempt_id"]] = payload["status"]


def _take_attempt_moved(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = payload["task_status"]
    told.attempts[payload["attempt_id"]] = payload["status"]


def _take_attempt_collected(told: _Told, payload: Mapping[str, Any]) -> None:
    told.attempts[payload["attempt_id"]] = AttemptState.COLLECTING


def _take_attempt_closed(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = payload["task_status"]
    told.attempts[payload["attempt_id"]] = payload["status"]
    if payload["status"] == AttemptState.COMPLETED:
        told.writes[payload["task_id"]] = payload["writes"]


def _take_tasks_reset(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks.update(dict.fromkeys(payload["task_ids"], TaskState.PENDING))
    told.tasks.update(dict.fromkeys(payload["reopened"], TaskState.RUNNING))
    for task_id in (*payload["task_ids"], *payload["reopened"]):
        told.writes.pop(task_id, None)


def _take_task_expanded(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = TaskState.RUNNING


def _take_task_collected(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = payload["task_status"]
    told.writes[payload["task_id"]] = payload["writes"]


def _take_task_refused(told: _Told, payload: Mapping[str, Any]) -> None:
    told.tasks[payload["task_id"]] = TaskState.FAILED
    told.writes.pop(payload["task_id"], None)


def _take_tasks_deleted(told: _Told, payload: Mapping[str, Any]) -> None:
    for task_id in payload["task_ids"]:
        told.tasks[task_id] = TaskState.CANCELLED
        told.writes.pop(task_id, None)


def _take_tasks_redefined(told: _Told, payload: Mapping[str, Any]) -> None:
    again = {name for name, state in told.tasks.items() if state == TaskState.BLOCKED}
    again |= payload["definitions"].keys() - told.left_out
    told.tasks.update(dict.fromkeys(again, TaskState.PENDING))


def _take_wiring(told: _Told, payload: Mapping[str, Any]) -> None:
    told.wiring = payload["sha256"]


_TAKERS: dict[str, Callable[[_Told, Mapping[str, Any]], None]] = {
    **{f"run.{state.lower()}": partial(_take_run_state, state) for state in RunState},
    **{f"tasks.{state.lower()}": partial(_take_task_states, state) for state in TaskState},
    "wiring.persisted": _take_wiring,
    "wiring.override_forced": _take_wiring,
    "run.opened": _take_run_opened,
    "run.migrated": _take_run_migrated,
    "run.inherited": _take_run_inherited,
    "run.outputs": _take_run_outputs,
    "run.round": _take_run_round,
    "attempt.opened": _take_attempt_opened,
    "attempt.submitted": _take_attempt_moved,
    "attempt.moved": _take_attempt_moved,
    "attempt.collected": _take_attempt_collected,
    "attempt.closed": _take_attempt_closed,
    "tasks.reset": _take_tasks_reset,
    "task.expanded": _take_task_expanded,
    "task.collected": _take_task_collected,
    "task.refused": _take_task_refused,
    "tasks.deleted": _take_tasks_deleted,
    "tasks.redefined": _take_tasks_redefined,
}


def _differences(database: Database, told: _Told) -> Iterator[str]:
    for run_id, status in database.all("SELECT run_id, status FROM runs"):
        if status != told.run:
            yield f"run {run_id} is {status}, and its events say {told.run}"
    context: dict[str, str | None] = dict(told.first)
    for task_id, status, count, parent in database.all(
        "SELECT task_id, status, attempt_count, parent FROM tasks ORDER BY phase, position"
    ):
        if parent is None:
            context.update(told.writes.get(task_id, {}))
        expected = told.tasks.get(task_id, TaskState.PENDING)
        if status != expected:
            yield f"task {task_id!r} is {status}, and its events say {expected}"
        if count != told.counts.get(task_id, 0):
            yield f"task {task_id!r} has {count} attempts, and its events say {told.counts.get(task_id, 0)}"
    attempts: dict[str, str] = dict(database.all("SELECT attempt_id, status FROM task_attempts"))
    yield from _unlike("attempt", attempts, told.attempts)
    if _kept_wiring(database) != told.wiring:
        yield "the wiring that is kept is not the one of its events"
    values = {key: text_digest(text) for key, text in database.all("SELECT key, value_json FROM context ORDER BY key")}
    yield from _unlike("context key", values, {key: digest for key, digest in context.items() if digest})


def _kept_wiring(database: Database) -> str:
    """Give the digest of the wiring's text; nothing where none is kept."""
    row = database.one("SELECT json_extract(value_json, '$.text') FROM run_inputs WHERE name = 'wiring'")
    return text_digest(row[0]) if row else ""


def _unlike(what: str, rows: Mapping[str, str], told: Mapping[str, str]) -> Iterator[str]:
    for name in (*rows, *(name for name in told if name not in rows)):
        if rows.get(name) != told.get(name):
            state = "is there without an event" if name not in told else "differs from what its events say"
            yield f"{what} {name!r} {state if name in rows else 'is gone'}"
