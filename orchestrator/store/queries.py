"""Read a run: its state, tasks, attempts and inputs, as frozen values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from orchestrator.errors import StoreError
from orchestrator.states import ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.database import Database

ATTEMPT_COLUMNS = (
    "attempt_id, task_id, attempt_index, task_attempts.status, outcome, task_attempts.status_reason, operator_type,"
    " operator_key, external_id, relative_path, params_json, envelope_json, exit_code, stdout, stderr, created_at,"
    " submitted_at, ended_at, duration_sec, cpu_sec, max_rss_mb, operator_data_json, task_attempts.seq"
)


_ENDED_TASKS = ", ".join(f"'{state}'" for state in sorted(ENDED_TASKS))
_TASK_STATES = {state.value: state for state in TaskState}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """The run as a whole."""

    run_id: str
    workspace_slug: str
    recipe_name: str
    status: RunState
    status_reason: str
    created_at: str
    ended_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task and where it stands; ``duration_sec`` is that of its latest attempt.

    A task of a fan-out has the position of the task it comes from as ``parent``, and its item.
    """

    position: int
    task_id: str
    step: str
    definition_sha256: str
    status: TaskState
    status_reason: str
    attempt_count: int
    duration_sec: float | None
    parent: int | None = None
    item_id: str = ""
    item_json: str | None = None
    inputs_json: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt with all that came of it; times are UTC, durations seconds, memory MB, ``seq`` its last event."""

    attempt_id: str
    task_id: str
    attempt_index: int
    status: AttemptState
    outcome: str
    status_reason: str
    operator_type: str | None
    operator_key: str | None
    external_id: str | None
    relative_path: str | None
    params: dict[str, Any]
    envelope: dict[str, Any] | None
    exit_code: int | None
    stdout: str
    stderr: str
    created_at: str
    submitted_at: str | None
    ended_at: str | None
    duration_sec: float | None
    cpu_sec: float | None
    max_rss_mb: float | None
    operator_data: dict[str, Any]
    seq: int

    @property
    def is_external(self) -> bool:
        """Tell whether it is, or was, in the hands of an operator beside the runner, in a directory of its own."""
        return self.relative_path is not None

    def without_head(self, log_cap: int) -> AttemptRow:
        """Give it with the last ``log_cap`` characters of what it printed."""
        return replace(self, stdout=self.stdout[-log_cap:], stderr=self.stderr[-log_cap:])

    def without_logs(self) -> AttemptRow:
        """Give it with nothing of what it printed."""
        return replace(self, stdout="", stderr="")


def read_run(database: Database) -> RunRow:
    """Give the file's one run."""
    row = database.one(
        "SELECT run_id, workspace_slug, recipe_name, status, status_reason, created_at, ended_at FROM runs"
    )
    if row is None:
        raise StoreError(f"the state file holds no run: {database.path}")
    return RunRow(
        run_id=row[0],
        workspace_slug=row[1],
        recipe_name=row[2],
        status=RunState(row[3]),
        status_reason=row[4],
        created_at=row[5],
        ended_at=row[6],
    )


class Items(Enum):
    """Which items of fan-outs are read beside the other tasks; the values are conditions in SQL."""

    ALL = "TRUE"
    LOUD = "item_json IS NULL OR tasks.status IN ('RUNNING', 'FAILED')"
    NONE = "item_json IS NULL"


def read_tasks(database: Database, *, items: Items = Items.ALL) -> tuple[TaskRow, ...]:
    """Give the tasks in list order, all or without some items of fan-outs: the loud ones run or have failed."""
    rows = database.all(
        "SELECT position, task_id, step, definition_sha256, tasks.status, tasks.status_reason, attempt_count,"  # noqa: S608
        " duration_sec, parent, coalesce(item_id, ''), item_json, inputs_json FROM tasks LEFT JOIN task_attempts"
        f" ON task_position = position AND attempt_index = attempt_count WHERE {items.value} ORDER BY position"
    )
    return tuple(
        TaskRow(
            position=row[0],
            task_id=row[1],
            step=row[2],
            definition_sha256=row[3],
            status=_TASK_STATES[row[4]],
            status_reason=row[5],
            attempt_count=row[6],
            duration_sec=row[7],
            parent=row[8],
            item_id=row[9],
            item_json=row[10],
            inputs_json=row[11],
        )
        for row in rows
    )


def read_opening(database: Database, attempt_id: str) -> int:
    """Give the number of the event with which an attempt was opened."""
    row = database.one(
        "SELECT seq FROM events WHERE kind = 'attempt.opened' AND json_extract(payload_json, '$.attempt_id') = ?",
        (attempt_id,),
    )
    return int(row[0]) if row else 0


def read_attempts(database: Database, task_id: str) -> tuple[AttemptRow, ...]:
    """Give the attempts of a task, oldest first."""
    return _attempts(database, "WHERE task_id = ? ORDER BY attempt_index", (task_id,))


def read_attempt(database: Database, position: int, attempt_index: int) -> AttemptRow:
    """Give one attempt of the task at a position."""
    (row,) = _attempts(database, "WHERE task_position = ? AND attempt_index = ?", (position, attempt_index))
    return row


def bad_nodes(database: Database, position: int) -> tuple[str, ...]:
    """Give the nodes of a cluster that failed under earlier attempts at a task."""
    rows = database.all(
        "SELECT DISTINCT json_extract(job.value, '$.failed_nodes') FROM task_attempts,"
        " json_each(task_attempts.operator_data_json, '$.jobs') AS job WHERE task_position = ?",
        (position,),
    )
    return tuple(row[0] for row in rows if row[0])


def read_open_attempts(database: Database) -> tuple[AttemptRow, ...]:
    """Give the attempts that have not ended: after a crash, those whose fate must be settled."""
    return _attempts(database, "WHERE ended_at IS NULL ORDER BY task_position", ())


def iterate_ended_attempts(
    database: Database, *, after: int = 0, task_id: str | None = None
) -> Iterator[tuple[AttemptRow, int]]:
    """Give the attempts that ended after an event, in order, each with its event's number.

    With ``task_id`` those of that task, and of the tasks that it became.
    """
    rows = database.all(
        "SELECT task_attempts.seq, task_id, attempt_index FROM task_attempts JOIN tasks ON position = task_position"
        " WHERE task_attempts.seq > ?1 AND task_attempts.ended_at IS NOT NULL AND (?2 IS NULL OR task_id = ?2"
        " OR substr(task_id, 1, length(?2) + 1) IN (?2 || '[', ?2 || '/')) ORDER BY task_attempts.seq",
        (after, task_id),
    )
    for seq, name, index in rows:
        (attempt,) = _attempts(database, "WHERE task_id = ? AND attempt_index = ?", (name, index))
        yield attempt, seq


def iterate_all_attempts(database: Database, *, log_cap: int) -> Iterator[AttemptRow]:
    """Give all attempts in the order of their tasks, with the last ``log_cap`` characters of what each printed."""
    columns = ATTEMPT_COLUMNS.replace("stdout, stderr", f"substr(stdout, -{log_cap:d}), substr(stderr, -{log_cap:d})")
    rows = database.all(
        f"SELECT {columns} FROM task_attempts JOIN tasks ON position = task_position"  # noqa: S608  a number
        " ORDER BY task_position, attempt_index"
    )
    return map(_attempt, rows)


def count_open_last(database: Database) -> int:
    """Count the tasks that a run does last, whatever comes of it, and that have not ended."""
    row = database.one(f"SELECT count(*) FROM tasks WHERE phase = 2 AND status NOT IN ({_ENDED_TASKS})")  # noqa: S608
    return int(row[0]) if row else 0


def read_metrics(database: Database) -> dict[str, dict[str, Any]]:
    """Give what the ended attempts at each task used together: seconds, and the peak memory in MB."""
    rows = database.all(
        "SELECT task_id, sum(duration_sec), sum(cpu_sec), max(max_rss_mb), count(*) FROM task_attempts"
        " JOIN tasks ON position = task_position WHERE task_attempts.ended_at IS NOT NULL"
        " GROUP BY position ORDER BY position"
    )
    names = ("duration_sec", "cpu_sec", "max_rss_mb", "attempts")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def read_results(database: Database, before: int) -> dict[str, dict[str, Any]]:
    """Give what came of the tasks of the last workflow before a position, by their names: status, files, what was said.

    That is the value of ``<task>.response_v1`` or ``<task>.result_v1``.
    """
    rows = database.all(
        "SELECT position, step, status, (SELECT relative_path FROM task_attempts WHERE task_position = position"
        " ORDER BY attempt_index DESC LIMIT 1), (SELECT operator_data_json FROM task_attempts"
        " WHERE task_position = position ORDER BY attempt_index DESC LIMIT 1) FROM tasks WHERE parent ="
        " (SELECT max(position) FROM tasks WHERE position < ? AND json_type(inputs_json, '$.tasks') = 'array')"
        " ORDER BY position",
        (before,),
    )
    return {step: _result(database, *row) for step, *row in ((row[1], row[0], *row[2:]) for row in rows)}


def _result(database: Database, position: int, status: str, path: str | None, data_json: str | None) -> dict[str, Any]:
    artifacts = json.loads(data_json or "{}").get("artifacts", ())
    answered = database.one(
        "SELECT value_json FROM context_history WHERE task_position = ? AND rolled_back = 0"
        " AND (key LIKE '%.response_v1' OR key LIKE '%.result_v1') ORDER BY number DESC",
        (position,),
    )
    folder = database.run_root / str(path)
    return {
        "status": status,
        "files": {one["path"]: str(folder / one["path"]) for one in artifacts},
        "data": json.loads(answered[0]) if answered else None,
    }


def read_spans(database: Database) -> list[tuple[str, str]]:
    """Give when each ended attempt began and ended, as times in UTC."""
    return [
        (start, end)
        for start, end in database.all("SELECT created_at, ended_at FROM task_attempts WHERE ended_at IS NOT NULL")
    ]


def count_failures(database: Database) -> dict[int, int]:
    """Count, by position, the attempts that failed, timed out, or were cancelled one by one.

    Those that were lost, or cancelled with their run, are nobody's failure.
    """
    rows = database.all(
        "SELECT task_position, count(*) FROM task_attempts JOIN tasks ON position = task_position"
        " WHERE (task_attempts.status IN ('FAILED', 'TIMEOUT') OR (task_attempts.status = 'CANCELLED'"
        " AND outcome LIKE 'cancelled by %')) AND attempt_index > forgiven GROUP BY task_position"
    )
    return {position: count for position, count in rows}  # noqa: C416  the rows are tuples of unknown length to mypy


def count_tasks(database: Database) -> dict[TaskState, int]:
    """Count the tasks by state; states without tasks are left out."""
    rows = database.all("SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status")
    return {TaskState(status): count for status, count in rows}


def count_items(database: Database) -> dict[int, dict[TaskState, int]]:
    """Count the items of each fan-out by state; by the position of the task that was expanded into them."""
    counts: dict[int, dict[TaskState, int]] = {}
    for parent, status, count in database.all(
        "SELECT parent, status, count(*) FROM tasks WHERE item_json IS NOT NULL GROUP BY parent, status"
    ):
        counts.setdefault(parent, {})[TaskState(status)] = count
    return counts


def read_inputs(database: Database) -> dict[str, Any]:
    """Give what the run was started with."""
    return {name: json.loads(text) for name, text in database.all("SELECT name, value_json FROM run_inputs")}


def has_recipe(database: Database) -> bool:
    """Tell whether the run goes by a recipe; those of MatterStack 0.2.x do from when they first go on."""
    return database.one("SELECT 1 FROM run_inputs WHERE name = 'recipe_path'") is not None


def has_legacy_tables(database: Database) -> bool:
    """Tell whether MatterStack 0.2.x made the run, whose tables stay in its file."""
    return database.one("SELECT 1 FROM sqlite_schema WHERE name = 'legacy_tasks'") is not None


def lacks_campaign(database: Database) -> bool:
    """Tell whether the campaign of a run of MatterStack 0.2.x might have planned more: the run had not completed."""
    if not has_legacy_tables(database):
        return False
    return database.one("SELECT 1 FROM legacy_runs WHERE status = 'COMPLETED'") is None


def iterate_texts(database: Database) -> Iterator[tuple[str, str, str]]:
    """Give every text of every table with the names of its table and column."""
    for (table,) in database.all("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        for column in [row[1] for row in database.all(f"PRAGMA table_info({table})")]:
            rows = database.all(f"SELECT {column} FROM {table} WHERE typeof({column}) = 'text'")  # noqa: S608  own names
            yield from ((table, column, text) for (text,) in rows)


def select_attempts(
    database: Database, condition: str, values: Sequence[str | int], columns: str = ATTEMPT_COLUMNS
) -> Iterator[AttemptRow]:
    """Give the attempts that a condition in SQL finds."""
    rows = database.all(
        f"SELECT {columns} FROM task_attempts JOIN tasks ON position = task_position {condition}",  # noqa: S608  ours
        values,
    )
    return map(_attempt, rows)


def _attempts(database: Database, condition: str, values: tuple[str | int, ...]) -> tuple[AttemptRow, ...]:
    return tuple(select_attempts(database, condition, values))


def _attempt(row: tuple[Any, ...]) -> AttemptRow:
    return AttemptRow(
        attempt_id=row[0],
        task_id=row[1],
        attempt_index=row[2],
        status=AttemptState(row[3]),
        outcome=row[4],
        status_reason=row[5],
        operator_type=row[6],
        operator_key=row[7],
        external_id=row[8],
        relative_path=row[9],
        params=json.loads(row[10]),
        envelope=None if row[11] is None else json.loads(row[11]),
        exit_code=row[12],
        stdout=row[13],
        stderr=row[14],
        created_at=row[15],
        submitted_at=row[16],
        ended_at=row[17],
        duration_sec=row[18],
        cpu_sec=row[19],
        max_rss_mb=row[20],
        operator_data=json.loads(row[21]),
        seq=row[22],
    )
