"""Write and read the shared context and the history of its writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.context import Change
from orchestrator.store.database import Database

_LAST = 2**62


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
    database: Database,
    changes: Iterable[Change],
    *,
    attempt_id: str | None,
    seq: int,
    task_position: int | None = None,
    rolled_back: bool = False,
) -> None:
    """Record writes in the history.

    Of those that are not rolled back, the one of the last task in the plan is the present value of its key. Those of
    the tasks of a fan-out are no values of the context: they are collected by the task that these come from.
    """
    for change in changes:
        database.write(
            "INSERT INTO context_history (key, value_json, who, attempt_id, rolled_back, task_position, seq)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (change.key, change.text, change.who, attempt_id, int(rolled_back), task_position, seq),
        )


def context_json(database: Database) -> bytes:
    """Give the present context as an indented JSON object."""
    items = (f'  "{change.key}": {change.text}' for change in read_context(database))
    body = ",\n".join(items)
    return f"{{\n{body}\n}}\n".encode() if body else b"{}\n"


def read_context(database: Database) -> tuple[Change, ...]:
    """Give the present values as the writes that made them, in the order of their keys."""
    rows = database.all("SELECT key, value_json, who FROM context ORDER BY key")
    return tuple(Change(*row) for row in rows)


def read_first_values(database: Database) -> dict[str, str]:
    """Give the values that the run began with, as JSON text."""
    rows = database.all("SELECT key, value_json FROM context_history WHERE task_position IS NULL ORDER BY number")
    return dict(rows)


def read_writes(database: Database, until: int | None = None) -> dict[int, list[Change]]:
    """Give the writes that count, by the position of their task, but for those of the items of fan-outs.

    With ``until``, those up to the event of that number.
    """
    writes: dict[int, list[Change]] = {}
    for position, *fields in database.all(
        "SELECT task_position, key, value_json, who FROM context_history JOIN tasks ON position = task_position"
        " WHERE rolled_back = 0 AND item_json IS NULL AND context_history.seq <= ? ORDER BY number",
        (_LAST if until is None else until,),
    ):
        writes.setdefault(position, []).append(Change(*fields))
    return writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a present value comes from; there is no task where the run began with it."""

    key: str
    who: str
    task_id: str | None
    attempt_index: int | None
    seq: int
    at_utc: str


def read_origins(database: Database) -> tuple[Origin, ...]:
    """Give where each present value comes from, in the order of the keys."""
    rows = database.all(
        "SELECT key, who, (SELECT task_id FROM tasks WHERE position = context.task_position),"
        " (SELECT attempt_index FROM task_attempts WHERE task_attempts.task_position = context.task_position"
        " AND task_attempts.attempt_id = context.attempt_id), seq, (SELECT at_utc FROM events WHERE events.seq ="
        " context.seq) FROM context ORDER BY key"
    )
    return tuple(
        Origin(key=row[0], who=row[1], task_id=row[2], attempt_index=row[3], seq=row[4], at_utc=row[5]) for row in rows
    )


def read_context_at(database: Database, seq: int) -> dict[str, str]:
    """Give the values as JSON text as they were after an event, by key.

    Writes that were taken back later, by a rerun or a conflict, are not among them.
    """
    rows = database.all(
        "SELECT key, value_json FROM context_history LEFT JOIN tasks ON position = task_position"
        " WHERE rolled_back = 0 AND parent IS NULL AND context_history.seq <= ? ORDER BY phase, task_position, number",
        (seq,),
    )
    values: dict[str, str | None] = dict(rows)
    return {key: text for key, text in sorted(values.items()) if text is not None}


def read_history(database: Database, key: str | None = None) -> tuple[HistoryEntry, ...]:
    """Give every write in order, or those of one key."""
    rows = database.all(
        "SELECT key, value_json, who, task_id, attempt_id, rolled_back, context_history.seq"
        " FROM context_history LEFT JOIN tasks ON position = task_position"
        " WHERE ? IS NULL OR key = ? ORDER BY number",
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
