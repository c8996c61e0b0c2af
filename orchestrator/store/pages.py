"""Read what a run may have very much of, piece by piece, so that it need not all be in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.states import AttemptState
from orchestrator.store.contexts import HistoryEntry
from orchestrator.store.database import Database

_PAGE = 200
_COLUMNS = (
    "attempt_id, task_id, attempt_index, task_attempts.status, outcome, task_attempts.status_reason, operator_type,"
    " operator_key, external_id, operator_data_json, relative_path, params_json, envelope_json, exit_code, stdout,"
    " stderr, created_at, submitted_at, ended_at, duration_sec, cpu_sec, max_rss_mb, task_attempts.seq"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt as it is recorded; times are UTC, durations seconds, memory MB, ``seq`` its last event."""

    attempt_id: str
    task_id: str
    attempt_index: int
    status: AttemptState
    outcome: str
    status_reason: str
    operator_type: str | None
    operator_key: str | None
    external_id: str | None
    operator_data: dict[str, Any]
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
    seq: int


def attempt_places(database: Database) -> list[tuple[int, int]]:
    """Give the task's position and the index of every attempt: those that ended in that order, then the others.

    So an attempt that is made later, or ends later, changes nothing of what comes before it.
    """
    rows = database.all("SELECT task_position, attempt_index FROM task_attempts ORDER BY ended_at IS NULL, seq")
    return [(position, index) for position, index in rows]


def iterate_attempts(database: Database, places: Sequence[tuple[int, int]]) -> Iterator[AttemptRecord]:
    """Give the attempts at some places, each with all that it printed."""
    for place in places:
        yield from _attempts(database, _COLUMNS, "task_position = ? AND attempt_index = ?", place)


def read_attempts_briefly(database: Database, position: int) -> list[AttemptRecord]:
    """Give the attempts at the task of a position, oldest first, without what they printed."""
    columns = _COLUMNS.replace("stdout, stderr", "'', ''")
    return list(_attempts(database, columns, "task_position = ? ORDER BY attempt_index", (position,)))


def positions_with_files(database: Database) -> list[int]:
    """Give the positions of the tasks of which an attempt has a directory."""
    sql = "SELECT DISTINCT task_position FROM task_attempts WHERE relative_path IS NOT NULL"
    return [position for (position,) in database.all(sql)]


def counting_writes(database: Database) -> dict[int, list[int]]:
    """Give the numbers of the writes that count, by the position of their task."""
    numbers: dict[int, list[int]] = {}
    for position, number in database.all(
        "SELECT task_position, number FROM context_history"
        " WHERE rolled_back = 0 AND task_position IS NOT NULL ORDER BY number"
    ):
        numbers.setdefault(position, []).append(number)
    return numbers


def read_written(database: Database, numbers: Sequence[int]) -> dict[str, Any]:
    """Give the values that some writes left, by key; the last of each key counts."""
    found: dict[str, str | None] = {}
    for number in numbers:
        found.update(database.all("SELECT key, value_json FROM context_history WHERE number = ?", (number,)))
    return {key: json.loads(text) for key, text in found.items() if text is not None}


def iterate_history(database: Database) -> Iterator[HistoryEntry]:
    """Give every write of the context, oldest first."""
    sql = (
        "SELECT number, key, value_json, who, task_id, attempt_id, rolled_back, context_history.seq"
        " FROM context_history LEFT JOIN tasks ON position = task_position WHERE number > ? ORDER BY number LIMIT ?"
    )
    after = 0
    while rows := database.all(sql, (after, _PAGE)):
        for _, key, value_json, who, task_id, attempt_id, rolled_back, seq in rows:
            yield HistoryEntry(
                key=key,
                value_json=value_json,
                who=who,
                task_id=task_id,
                attempt_id=attempt_id,
                rolled_back=bool(rolled_back),
                seq=seq,
            )
        after = rows[-1][0]


def _attempts(database: Database, columns: str, condition: str, values: tuple[int, ...]) -> Iterator[AttemptRecord]:
    rows = database.all(
        f"SELECT {columns} FROM task_attempts JOIN tasks ON position = task_position WHERE {condition}",  # noqa: S608  ours
        values,
    )
    return map(_attempt, rows)


def _attempt(row: tuple[Any, ...]) -> AttemptRecord:
    return AttemptRecord(
        attempt_id=row[0],
        task_id=row[1],
        attempt_index=row[2],
        status=AttemptState(row[3]),
        outcome=row[4],
        status_reason=row[5],
        operator_type=row[6],
        operator_key=row[7],
        external_id=row[8],
        operator_data=json.loads(row[9]),
        relative_path=row[10],
        params=json.loads(row[11]),
        envelope=None if row[12] is None else json.loads(row[12]),
        exit_code=row[13],
        stdout=row[14],
        stderr=row[15],
        created_at=row[16],
        submitted_at=row[17],
        ended_at=row[18],
        duration_sec=row[19],
        cpu_sec=row[20],
        max_rss_mb=row[21],
        seq=row[22],
    )
