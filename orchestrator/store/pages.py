"""Read what a run may have very much of, piece by piece, so that it need not all be in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.store.contexts import HistoryEntry
from orchestrator.store.database import Database
from orchestrator.store.queries import ATTEMPT_COLUMNS, AttemptRow, select_attempts

_PAGE = 200


def attempt_places(database: Database) -> list[tuple[int, int]]:
    """Give the task's position and the index of every attempt: those that ended in that order, then the others.

    So an attempt that is made later, or ends later, changes nothing of what comes before it.
    """
    rows = database.all("SELECT task_position, attempt_index FROM task_attempts ORDER BY ended_at IS NULL, seq")
    return [(position, index) for position, index in rows]


def iterate_attempts(database: Database, places: Sequence[tuple[int, int]]) -> Iterator[AttemptRow]:
    """Give the attempts at some places, each with all that it printed."""
    for place in places:
        yield from select_attempts(database, "WHERE task_position = ? AND attempt_index = ?", place)


def read_attempts_briefly(database: Database, position: int) -> list[AttemptRow]:
    """Give the attempts at the task of a position, oldest first, without what they printed."""
    columns = ATTEMPT_COLUMNS.replace("stdout, stderr", "'', ''")
    return list(select_attempts(database, "WHERE task_position = ? ORDER BY attempt_index", (position,), columns))


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
