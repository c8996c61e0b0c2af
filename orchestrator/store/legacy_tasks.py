"""Read how a campaign of MatterStack 0.2.x defined the tasks of a run, from the tables that stay in its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.store.database import Database
from orchestrator.store.queries import has_legacy_tables

_COLUMNS = (
    "image",
    "command",
    "files",
    "env",
    "dependencies",
    "cores",
    "memory_gb",
    "gpus",
    "time_limit_minutes",
    "allow_dependency_failure",
    "allow_failure",
    "download_patterns",
    "operator_key",
    "task_type",
)
_JSON = frozenset({"files", "env", "dependencies", "download_patterns"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerTask:
    """A task as it was defined; ``attempt_key`` is how its last attempt was routed, where it had one.

    ``is_defined`` is False where its definition was deleted and no attempt has a copy of it. Memory is in GB.
    """

    task_id: str
    image: str
    command: str
    files: Mapping[str, Any]
    env: Mapping[str, Any]
    dependencies: tuple[str, ...]
    cores: int | None
    memory_gb: float | None
    gpus: int | None
    time_limit_minutes: float | None
    allow_dependency_failure: bool
    allow_failure: bool
    download_patterns: tuple[str, ...] | None
    operator_key: str | None
    task_type: str
    attempt_key: str | None
    is_defined: bool


def read_former_tasks(database: Database) -> tuple[FormerTask, ...]:
    """Give the tasks in list order; none in a run that was ours from the beginning."""
    if not has_legacy_tables(database):
        return ()
    kept = {row[1] for row in database.all("PRAGMA table_info(legacy_tasks)")}
    names = [name for name in _COLUMNS if name in kept]
    columns = ", ".join(f"legacy_tasks.{name}" for name in names)
    rows = database.all(
        f"SELECT tasks.task_id, legacy_tasks.task_id, task_attempts.operator_key, operator_data_json, {columns}"  # noqa: S608  names we know
        " FROM tasks LEFT JOIN legacy_tasks USING (task_id) LEFT JOIN task_attempts"
        " ON task_position = position AND attempt_index = attempt_count ORDER BY position"
    )
    return tuple(_task(row[0], row[1], row[2], row[3], dict(zip(names, row[4:], strict=True))) for row in rows)


def read_former_operators(database: Database) -> dict[str, dict[str, Any]]:
    """Give the rows of the table in which version 1 kept what operators had, by task; times it had none."""
    names = ("operator_type", "external_id", "status", "operator_data", "relative_path")
    rows = database.all(f"SELECT task_id, {', '.join(names)} FROM legacy_external_runs")  # noqa: S608  names above
    return {task_id: {**dict(zip(names, row, strict=True)), "operator_data": _read(row[3])} for task_id, *row in rows}


def _read(text: str) -> Any:  # noqa: ANN401  any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _task(task_id: str, kept: str | None, attempt_key: str | None, data: str | None, row: dict[str, Any]) -> FormerTask:
    """Give a task by its row; by what its last attempt has kept of it where the row was deleted."""
    told = {name: json.loads(text) if name in _JSON and text else text for name, text in row.items()}
    dumped = json.loads(data or "{}").get("task_dump") if kept is None else None
    found = dumped if isinstance(dumped, dict) else told
    patterns = found.get("download_patterns")
    return FormerTask(
        task_id=task_id,
        image=str(found.get("image") or ""),
        command=str(found.get("command") or ""),
        files=found.get("files") or {},
        env=found.get("env") or {},
        dependencies=tuple(found.get("dependencies") or ()),
        cores=found.get("cores"),
        memory_gb=found.get("memory_gb"),
        gpus=found.get("gpus"),
        time_limit_minutes=found.get("time_limit_minutes"),
        allow_dependency_failure=bool(found.get("allow_dependency_failure")),
        allow_failure=bool(found.get("allow_failure")),
        download_patterns=None if patterns is None else tuple(patterns),
        operator_key=found.get("operator_key"),
        task_type=str(found.get("task_type") or "Task"),
        attempt_key=attempt_key,
        is_defined=kept is not None or dumped is not None,
    )
