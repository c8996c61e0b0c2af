"""Gather what a report tells of a run, from its state file and its recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidFileError
from orchestrator.recipe.load import load_recipe
from orchestrator.recipe.order import dependencies
from orchestrator.sources import Source
from orchestrator.store.attempt_files import with_files
from orchestrator.store.contexts import Origin, read_context, read_origins
from orchestrator.store.database import Database
from orchestrator.store.queries import (
    AttemptRow,
    RunRow,
    TaskRow,
    iterate_all_attempts,
    read_inputs,
    read_run,
    read_tasks,
)
from orchestrator.store.spending import Spending, read_spending

# What moves a terminal's cursor or colours it.
_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One task with all its attempts, oldest first; their outputs are cut to what a report has room for."""

    row: TaskRow
    attempts: tuple[AttemptRow, ...]

    @property
    def last(self) -> AttemptRow | None:
        """Give the latest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def span(self) -> tuple[float, float] | None:
        """Give when its first attempt began and its last ended, in seconds since 1970."""
        times = [seconds_of(at) for a in self.attempts for at in (a.created_at, a.ended_at) if at]
        return (min(times), max(times)) if times else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that a report tells; ``waits`` gives, by step, the steps that it waits for."""

    run: RunRow
    inputs: Mapping[str, Any]
    tasks: tuple[TaskRecord, ...]
    context: Mapping[str, str]
    origins: tuple[Origin, ...]
    spending: Spending | None = None
    waits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_record(database: Database, *, log_cap: int, log_budget: int) -> RunRecord:
    """Read a run; the tails of its logs are kept up to ``log_cap`` characters each and ``log_budget`` in all."""
    attempts: dict[str, list[AttemptRow]] = {}
    left = log_budget
    for recorded in iterate_all_attempts(database, log_cap=log_cap):
        attempt = with_files(recorded, database.run_root).without_head(log_cap)
        size = len(attempt.stdout) + len(attempt.stderr)
        attempts.setdefault(attempt.task_id, []).append(attempt if size <= left else attempt.without_logs())
        left -= min(size, left)
    tasks = tuple(TaskRecord(row=row, attempts=tuple(attempts.get(row.task_id, ()))) for row in read_tasks(database))
    return RunRecord(
        run=read_run(database),
        inputs=read_inputs(database),
        tasks=tasks,
        context={change.key: change.text or "" for change in read_context(database)},
        origins=read_origins(database),
        spending=read_spending(database),
        waits=_waits(database.run_root / "recipe.yaml"),
    )


def seconds_of(at_utc: str) -> float:
    """Give a recorded time in seconds since 1970."""
    return datetime.strptime(at_utc, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


def plain(text: str) -> str:
    """Give a text without what steers a terminal; other control characters show as their numbers."""
    shown = _ANSI.sub("", text).replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in shown)


def _waits(recipe: Path) -> dict[str, tuple[str, ...]]:
    try:
        loaded = load_recipe(Source.from_text(recipe.name, recipe.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, InvalidFileError):
        return {}
    lists = (loaded.recipe.steps, loaded.recipe.on_failure, loaded.recipe.finally_)
    return {name: after for steps in lists for name, after in dependencies(steps).items()}
