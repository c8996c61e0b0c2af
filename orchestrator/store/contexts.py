"""Write and read the shared context and the history of its writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.context import Change
from orchestrator.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One write as recorded; ``value_json`` is None where the key was deleted."""

    key: str
    value_json: str | None
    who: str
    task_id: str | None
    attempt_id: str | None
    rolled_back: bool
    seq: int


def write_changes(
    database: Database, changes: Iterable[Change], *, attempt_id: str | None, seq: int, rolled_back: bool = False
) -> None:
    """Record writes in the history; the newest of a key that is not rolled back is its present value."""
    for change in changes:
        database.write(
            "INSERT INTO context_history (key, value_json, who, attempt_id, rolled_back, seq)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (change.key, change.text, change.who, attempt_id, int(rolled_back), seq),
        )


def read_context(database: Database) -> tuple[Change, ...]:
    """Give the present values as the writes that made them, in the order of their keys."""
    rows = database.all("SELECT key, value_json, who FROM context ORDER BY key")
    return tuple(Change(*row) for row in rows)


def read_history(database: Database, key: str | None = None) -> tuple[HistoryEntry, ...]:
    """Give every write in order, or those of one key."""
    rows = database.all(
        "SELECT key, value_json, who, task_id, context_history.attempt_id, rolled_back, context_history.seq"
        " FROM context_history LEFT JOIN task_attempts USING (attempt_id) LEFT JOIN tasks ON position = task_position"
        " WHERE ? IS NULL OR key = ? ORDER BY context_history.number",
        (key, key),
    )
    return tuple(
        HistoryEntry(
            key=row[0],
            value_json=row[1],
            who=row[2],
            task_id=row[3],
            attempt_id=row[4],
            rolled_back=bool(row[5]),
            seq=row[6],
        )
        for row in rows
    )
