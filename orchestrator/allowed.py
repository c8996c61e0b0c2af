"""Tell which failures of a run its recipe allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalog import Project
from orchestrator.frames import Parts
from orchestrator.plan import Plan, PlannedTask, SubRecipe
from orchestrator.starts import plan_as_started
from orchestrator.store.database import reading
from orchestrator.store.queries import TaskRow, read_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The steps of one recipe by name, and the project that they belong to."""

    planned: Mapping[str, PlannedTask]
    project: Project


def allowed_to_fail(run_root: Path) -> frozenset[str]:
    """Give the tasks whose failure fails no run: those of steps with ``allow_failure``, and all that these consist of.

    Raises `UsageError` or `InvalidFileError` where the recipe that was kept cannot be planned any more.
    """
    plan = plan_as_started(run_root)
    with reading(run_root) as database:
        return frozenset(_allowed(plan, read_tasks(database)))


def _allowed(plan: Plan, rows: Iterable[TaskRow]) -> Iterator[str]:
    parts, allowed = Parts(), set[int]()
    below: dict[int | None, _Steps] = {None: _steps(plan)}
    for row in rows:
        # The items of a fan-out have the name of its step, and stand where it stands.
        around = below[row.parent]
        planned = around.planned[row.step]
        below[row.position] = _steps(parts.of(planned, row.inputs_json, around.project)) if row.inputs_json else around
        if planned.node.allow_failure or row.parent in allowed:
            allowed.add(row.position)
            yield row.task_id


def _steps(part: Plan | SubRecipe) -> _Steps:
    return _Steps(planned={task.step: task for task in part.tasks}, project=part.project)
