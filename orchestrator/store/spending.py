"""Read what a run has spent of its budget of core-hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.core_hours import core_hours, core_seconds, told
from orchestrator.store.database import Database
from orchestrator.store.queries import read_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The budget of a run, and what is spent of it, in core-seconds."""

    allowed: float
    spent: float

    def __str__(self) -> str:
        """Give it for people, in core-hours."""
        return f"{told(self.spent)} of {told(self.allowed)} core-hours spent"

    def to_json(self) -> dict[str, Any]:
        """Give it for programs, in core-hours."""
        return {"budget": core_hours(self.allowed), "spent": core_hours(self.spent)}


def read_spending(database: Database) -> Spending | None:
    """Give what a run has spent; None where it has no budget."""
    budget = read_inputs(database).get("budget")
    if not budget:
        return None
    return Spending(allowed=core_seconds(budget["core_hours"]), spent=read_core_seconds(database))


def read_core_seconds(database: Database) -> float:
    """Give the core-seconds of all attempts at which operators run programs: what they used, or else asked for.

    The latter counts of attempts that are under way, and of those of which nobody knows how long they ran.
    """
    row = database.one(
        "SELECT sum(coalesce(json_extract(operator_data_json, '$.work.resources.cores'), 1)"
        " * CASE WHEN ended_at IS NULL OR duration_sec IS NULL OR (status = 'LOST' AND duration_sec = 0)"
        " THEN json_extract(operator_data_json, '$.work.limit_sec')"
        " * (1 + coalesce(json_extract(operator_data_json, '$.work.on_walltime.restart'), 0)) ELSE duration_sec END)"
        " FROM task_attempts WHERE json_type(operator_data_json, '$.work.resources') = 'object'"
    )
    return float(row[0] or 0.0) if row else 0.0
