"""Make a state file of MatterStack 0.2.x into one of ours: its tables stay in it, and ours are filled from them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StoreError
from orchestrator.store.events import append_event
from orchestrator.wiring.keys import key_of_attempt

if TYPE_CHECKING:
    from orchestrator.store.database import Database

FIRST, LAST = 1, 4
BASE = 5  # the version of ours whose tables are filled

_MIGRATIONS = Path(__file__).parent / "migrations" / "legacy"
# From this the earlier program derived the ids of the attempts that version 1 had no ids for.
_ATTEMPT_IDS = uuid.UUID("6df7afdd-8f9f-4b0c-9a2c-6f2b0c2b2b1a")
_ADDED_COLUMNS = {
    2: ("tasks", "current_attempt_id"),
    3: ("task_attempts", "operator_key"),
    4: ("tasks", "operator_key"),
}
# What every version has. Other programs have tables of such names, but hardly all of them with these columns.
_MARKS = {
    "schema_info": "key value",
    "runs": "run_id workspace_slug root_path created_at status status_reason tags description",
    "tasks": (
        "task_id run_id image command files env dependencies cores memory_gb gpus time_limit_minutes"
        " allow_dependency_failure allow_failure status task_type"
    ),
    "external_runs": "task_id run_id operator_type external_id status operator_data relative_path",
}
_KEPT_TABLES = ("legacy_runs", "legacy_tasks", "legacy_task_attempts", "legacy_external_runs")


def legacy_version(database: Database) -> int | None:
    """Give the version that MatterStack 0.2.x recorded in a file; None for a file that is none of its.

    Raises `StoreError` (MS502) for a version that was made later than those that are known.
    """
    if not all(set(columns.split()) <= _columns(database, table) for table, columns in _MARKS.items()):
        return None
    row = database.one("SELECT value FROM schema_info WHERE key = 'version'")
    if row is None or not str(row[0]).isdecimal() or database.one("SELECT count(*) FROM runs") != (1,):
        return None
    version = int(row[0])
    if version > LAST:
        raise StoreError(
            f"{database.path} has schema {version} of an earlier MatterStack, of which 1 to {LAST} are known",
            hint="use the MatterStack that made it; the file was not touched",
            code="MS502",
        )
    return version if version >= FIRST else None


def original_version(database: Database) -> int:
    """Give the version of a file before anything of it was changed, also where a crash has left it half-way."""
    noted = _origin(database, "schema_info").get("original_version")
    return int(noted) if noted else legacy_version(database) or LAST


def note_origin(database: Database, version: int, sha256: str) -> None:
    """Keep what a file was before anything of it is changed, once, in the transaction of the caller."""
    database.write(
        "INSERT OR IGNORE INTO schema_info (key, value) VALUES ('original_version', ?), ('original_sha256', ?)",
        (str(version), sha256),
    )


def define_functions(database: Database) -> None:
    """Give the connection the functions that the migrations use."""
    database.define("legacy_attempt_id", _attempt_id)
    database.define("legacy_operator_key", _operator_key)
    database.define("legacy_object", _object)
    database.define("legacy_time", _time)


def add_version(database: Database, version: int) -> None:
    """Bring a file from the version before to this one, up to `LAST`, in the transaction of the caller."""
    table, column = _ADDED_COLUMNS[version]
    if column not in _columns(database, table):  # a crash of the earlier program may have left it there already
        database.write(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")
    for file in _MIGRATIONS.glob(f"{version:04d}_*.sql"):
        database.write(file.read_text(encoding="utf-8"))
    database.write("UPDATE schema_info SET value = ? WHERE key = 'version'", (str(version),))


def set_aside(database: Database) -> None:
    """Rename the tables of version `LAST`, in the transaction of the caller."""
    database.write((_MIGRATIONS / "0005_set_aside.sql").read_text(encoding="utf-8"))


def take_over(database: Database) -> None:
    """Fill our tables from those that were set aside, and begin the history, in the transaction of the caller."""
    database.write((_MIGRATIONS / "0005_take_over.sql").read_text(encoding="utf-8"))
    append_event(database, "run.migrated", _described(database))


def _described(database: Database) -> dict[str, Any]:
    """Give what the history vouches for: where the rows come from, and where everything stands."""
    run_id, status = database.one("SELECT run_id, status FROM runs") or ("", "")
    origin = _origin(database, "legacy_schema_info")
    tasks = database.all("SELECT task_id, status, attempt_count FROM tasks ORDER BY position")
    attempts = database.all("SELECT attempt_id, status FROM task_attempts ORDER BY task_position, attempt_index")
    return {
        "run_id": run_id,
        "from_version": int(origin["original_version"]),
        "original_sha256": origin["original_sha256"],
        "tables": {table: _digest(database, table) for table in _KEPT_TABLES},
        "status": status,
        "tasks": {task_id: {"status": state, "attempts": count} for task_id, state, count in tasks},
        "attempts": dict(attempts),
    }


def _digest(database: Database, table: str) -> dict[str, Any]:
    """Give how many rows a table has, and the SHA-256 of them as SQL literals, one row a line in the order of rowid."""
    columns = " || ',' || ".join(f"quote({row[1]})" for row in database.all(f"PRAGMA table_info({table})"))
    rows = database.all(f"SELECT {columns} FROM {table} ORDER BY rowid")  # noqa: S608  names of tables we know
    digest = hashlib.sha256("".join(f"{text}\n" for (text,) in rows).encode())
    return {"rows": len(rows), "sha256": digest.hexdigest()}


def _origin(database: Database, table: str) -> dict[str, str]:
    return dict(database.all(f"SELECT key, value FROM {table} WHERE key LIKE 'original_%'"))  # noqa: S608  ours


def _columns(database: Database, table: str) -> set[str]:
    return {row[1] for row in database.all(f"PRAGMA table_info({table})")}


def _attempt_id(run_id: str, task_id: str) -> str:
    return str(uuid.uuid5(_ATTEMPT_IDS, f"{run_id}:{task_id}"))


def _operator_key(operator_key: str | None, operator_data: object, operator_type: str | None) -> str | None:
    return key_of_attempt(operator_key, json.loads(_object(operator_data)), operator_type)


def _object(stored: object) -> str:
    """Give the JSON object that a column holds; where it holds another thing, that becomes a member of one."""
    text = "null" if stored is None else str(stored)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, Mapping):
        return text
    return json.dumps({} if value is None else {"recorded": value}, ensure_ascii=False)


def _time(stored: object) -> str | None:
    """Give a time, which was kept in UTC without saying so, as all times are kept; a text that is none stays."""
    if stored is None:
        return None
    try:
        moment = datetime.fromisoformat(str(stored))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return str(stored)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
