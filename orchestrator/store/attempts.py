"""Write attempts: one is opened before anything happens and closed, once, with all that came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.clock import uptime, utc_now
from orchestrator.context import Change
from orchestrator.errors import InfrastructureError
from orchestrator.jsonsafe import encode
from orchestrator.states import ENDED_ATTEMPTS, AttemptState, TaskState, may_become
from orchestrator.store.contexts import write_changes
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, text_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """All that came of an attempt; ``task_status`` is where it leaves its task. Times are seconds, memory MB."""

    status: AttemptState
    task_status: TaskState
    outcome: str = ""
    reason: str = ""
    envelope: Mapping[str, Any] | None = None
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    changes: tuple[Change, ...] = ()
    duration_sec: float | None = None
    cpu_sec: float | None = None
    max_rss_mb: float | None = None
    operator_data: Mapping[str, Any] = field(default_factory=dict)


def attempt_token(run_id: str, task_id: str, attempt_index: int) -> str:
    """Give the attempt's id: the same run, task and index always give the same 16 hexadecimal digits."""
    return hashlib.sha256(f"{run_id}\n{task_id}\n{attempt_index}".encode()).hexdigest()[:16]


def attempt_path(task_id: str, attempt_id: str) -> str:
    """Give where the files of an attempt in other hands lie, relative to the run directory."""
    return f"tasks/{task_id}/attempts/{attempt_id}"


def open_attempt(
    database: Database,
    task_id: str,
    params: Mapping[str, Any],
    operator_key: str,
    work: Mapping[str, Any] | None = None,
) -> tuple[str, int]:
    """Record the intent to attempt a task, of which nothing has happened yet; return the attempt's id and index.

    ``work`` is what an operator is to do in the attempt's own directory; without it, the runner itself runs the step.
    """
    run_id, position, index = _next_attempt(database, task_id)
    attempt_id = attempt_token(run_id, task_id, index)
    state = AttemptState.RUNNING if work is None else AttemptState.SUBMITTING
    opening = {"task_id": task_id, "attempt_id": attempt_id, "attempt_index": index, "operator_key": operator_key}
    seq = append_event(database, "attempt.opened", {**opening, "status": state.value})
    now = utc_now()
    intent = (attempt_id, position, index, state, operator_key, encode(params))
    times = (now, now if work is None else None, seq)
    kind = path = None
    if work is not None:
        kind, path = operator_key.partition(".")[0], attempt_path(task_id, attempt_id)
    database.write(
        "INSERT INTO task_attempts (attempt_id, task_position, attempt_index, status, operator_key, params_json,"
        " created_at, submitted_at, seq, operator_type, relative_path, operator_data_json)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*intent, *times, kind, path, encode({} if work is None else {"work": work, "uptime": uptime()})),
    )
    database.write(
        "UPDATE tasks SET status = ?, status_reason = '', attempt_count = ?, seq = ? WHERE position = ?",
        (TaskState.RUNNING, index, seq, position),
    )
    return attempt_id, index


def _next_attempt(database: Database, task_id: str) -> tuple[str, int, int]:
    """Give the run's id, a task's position and the index of its next attempt; refuse one that cannot have another."""
    row = database.one(
        "SELECT (SELECT run_id FROM runs), position, status, attempt_count FROM tasks WHERE task_id = ?", (task_id,)
    )
    if row is None:
        raise InfrastructureError(f"the run has no task {task_id!r}")
    run_id, position, status, count = row
    _check_move(TaskState(status), TaskState.RUNNING, f"task {task_id}")
    return run_id, position, count + 1


def move_attempt(
    database: Database,
    task_id: str,
    attempt_id: str,
    state: AttemptState,
    *,
    external_id: str = "",
    operator_data: Mapping[str, Any] | None = None,
) -> None:
    """Record what an operator says of an attempt that goes on: its state, and what else is different from before.

    The ``note`` of the data is why a task that goes on waits; what is None there is no longer kept.
    """
    position, index, status = _find_attempt(database, task_id, attempt_id)
    if not _is_news(database, (position, index), (status, external_id, operator_data or {}), state):
        return
    _check_move(AttemptState(status), state, f"attempt {attempt_id} of {task_id}")
    task_state = TaskState.WAITING_EXTERNAL if state is AttemptState.WAITING_EXTERNAL else TaskState.RUNNING
    note = str((operator_data or {}).get("note") or "")
    payload = {"task_id": task_id, "attempt_id": attempt_id, "status": state.value, "task_status": task_state.value}
    payload |= {"external_id": external_id, "note": note}
    if status == AttemptState.SUBMITTING and state is not AttemptState.SUBMITTING:
        seq = append_event(database, "attempt.submitted", payload)
    else:
        seq = append_event(database, "attempt.moved", payload)
    database.write(
        "UPDATE task_attempts SET status = ?, external_id = coalesce(nullif(?, ''), external_id),"
        " submitted_at = CASE ? WHEN 'SUBMITTING' THEN submitted_at ELSE coalesce(submitted_at, ?) END,"
        " operator_data_json = json_patch(operator_data_json, ?), seq = ?"
        " WHERE task_position = ? AND attempt_index = ?",
        (state, external_id, state, utc_now(), encode(operator_data or {}), seq, position, index),
    )
    database.write(
        "UPDATE tasks SET status = ?, status_reason = ?, seq = ? WHERE position = ?", (task_state, note, seq, position)
    )


def _is_news(
    database: Database, key: tuple[int, int], said: tuple[str, str, Mapping[str, Any]], state: AttemptState
) -> bool:
    """Tell whether anything of what an operator says is not recorded with an attempt."""
    status, external_id, data = said
    if status != state:
        return True
    row = database.one(
        "SELECT coalesce(external_id, ''), operator_data_json, json_patch(operator_data_json, ?) FROM task_attempts"
        " WHERE task_position = ? AND attempt_index = ?",
        (encode(data), *key),
    )
    return row is not None and ((external_id or row[0]) != row[0] or json.loads(row[1]) != json.loads(row[2]))


def note_sighting(database: Database, task_id: str, attempt_id: str, sighting: Mapping[str, Any]) -> None:
    """Record what an operator says of an attempt that goes on: state, external id and data to keep."""
    move_attempt(
        database,
        task_id,
        attempt_id,
        AttemptState(sighting["state"]),
        external_id=sighting.get("external_id", ""),
        operator_data=sighting.get("operator_data"),
    )


def note_cancel_asked(database: Database, task_id: str, attempt_id: str, fault: str) -> None:
    """Record that an attempt is to end, and what it is then told of as ended by."""
    position, index, _ = _find_attempt(database, task_id, attempt_id)
    payload = {"task_id": task_id, "attempt_id": attempt_id, "fault": fault}
    append_event(database, "attempt.cancel_asked", payload)
    database.write(
        "UPDATE task_attempts SET operator_data_json = json_patch(operator_data_json, ?)"
        " WHERE task_position = ? AND attempt_index = ?",
        (encode({"cancel_asked": fault}), position, index),
    )


def note_collected(database: Database, task_id: str, attempt_id: str, collected: Mapping[str, Any]) -> None:
    """Record what an attempt left in its directory, before anything is judged by it: files with size and digest."""
    position, index, status = _find_attempt(database, task_id, attempt_id)
    _check_move(AttemptState(status), AttemptState.COLLECTING, f"attempt {attempt_id} of {task_id}")
    files = {artifact["path"]: artifact["sha256"] for artifact in collected.get("artifacts", ())}
    seq = append_event(database, "attempt.collected", {"task_id": task_id, "attempt_id": attempt_id, "files": files})
    database.write(
        "UPDATE task_attempts SET status = ?, operator_data_json = json_patch(operator_data_json, ?), seq = ?"
        " WHERE task_position = ? AND attempt_index = ?",
        (AttemptState.COLLECTING, encode(collected), seq, position, index),
    )


def close_attempt(database: Database, task_id: str, attempt_id: str, result: AttemptResult) -> int:
    """Record the end of a task's attempt: its state, envelope, context writes and event; return the event's number.

    The writes of an attempt that did not succeed stay in the history, marked as rolled back.
    """
    position, index, status = _find_attempt(database, task_id, attempt_id)
    _check_move(AttemptState(status), result.status, f"attempt {attempt_id} of {task_id}")
    seq = append_event(database, "attempt.closed", _closing(task_id, attempt_id, result))
    kept = result.status is AttemptState.COMPLETED
    write_changes(
        database, result.changes, attempt_id=attempt_id, seq=seq, task_position=position, rolled_back=not kept
    )
    _write_result(database, (position, index), result, seq)
    database.write(
        "UPDATE tasks SET status = ?, status_reason = ?, seq = ? WHERE position = ?",
        (result.task_status, result.reason, seq, position),
    )
    return seq


def _find_attempt(database: Database, task_id: str, attempt_id: str) -> tuple[int, int, str]:
    """Give the position of a task, the index of its attempt, and where the attempt stands."""
    row = database.one(
        "SELECT task_position, attempt_index, status FROM task_attempts"
        " WHERE task_position = (SELECT position FROM tasks WHERE task_id = ?) AND attempt_id = ?",
        (task_id, attempt_id),
    )
    if row is None:
        raise InfrastructureError(f"task {task_id!r} has no attempt {attempt_id!r}")
    return row[0], row[1], row[2]


def _write_result(database: Database, key: tuple[int, int], result: AttemptResult, seq: int) -> None:
    database.write(
        "UPDATE task_attempts SET status = ?, outcome = ?, status_reason = ?, envelope_json = ?, exit_code = ?,"
        " stdout = ?, stderr = ?, ended_at = ?, duration_sec = ?, cpu_sec = ?, max_rss_mb = ?,"
        " operator_data_json = json_patch(operator_data_json, ?), seq = ?"
        " WHERE task_position = ? AND attempt_index = ?",
        (
            result.status,
            result.outcome,
            result.reason,
            None if result.envelope is None else encode(result.envelope),
            result.exit_code,
            result.stdout,
            result.stderr,
            utc_now(),
            result.duration_sec,
            result.cpu_sec,
            result.max_rss_mb,
            encode(result.operator_data),
            seq,
            *key,
        ),
    )


def _closing(task_id: str, attempt_id: str, result: AttemptResult) -> dict[str, Any]:
    """Describe the end so that the event chain vouches for every value that was written."""
    return {
        "task_id": task_id,
        "attempt_id": attempt_id,
        "status": result.status.value,
        "task_status": result.task_status.value,
        "outcome": result.outcome,
        "reason": result.reason,
        "writes": {change.key: None if change.text is None else text_digest(change.text) for change in result.changes},
    }


def _check_move(state: AttemptState | TaskState, target: AttemptState | TaskState, what: str) -> None:
    if not may_become(state, target):
        ended = " again" if state in ENDED_ATTEMPTS else ""
        raise InfrastructureError(f"{what} is {state} and cannot become {target}{ended}")
