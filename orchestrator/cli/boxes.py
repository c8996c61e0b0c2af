"""Give what a graph draws: the steps of a recipe, or the tasks of a run with all that was planned meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.context import Context
from orchestrator.frames import Parts, Task, nodes_of
from orchestrator.nodes import Phase
from orchestrator.plan import Plan, PlannedTask
from orchestrator.recall import recall
from orchestrator.starts import plan_as_started
from orchestrator.states import TaskState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One step or task: its name, the list that it stands in, and the positions of what it waits for.

    Of a task, ``state`` is where it stands and ``parent`` the position of the task that became it.
    """

    position: int
    name: str
    kind: str
    phase: Phase
    fans_by: str = ""
    is_expanded: bool = False
    waits_for: tuple[int, ...] = ()
    state: TaskState | None = None
    parent: int | None = None

    @property
    def label(self) -> str:
        """Give what is written into it."""
        how = f" ({self.fans_by})" if self.fans_by else ""
        return f"{self.name}{how}{f': {self.state.lower()}' if self.state else ''}"


def steps_of(plan: Plan) -> list[Box]:
    """Give the steps of a recipe."""
    return [
        Box(
            position=task.position,
            name=task.step,
            kind=task.kind,
            phase=task.node.phase,
            fans_by=_fans_by(task),
            is_expanded=task.is_expanded,
            waits_for=task.node.waits_for,
        )
        for task in plan.tasks
    ]


def has_more_later(plan: Plan) -> bool:
    """Tell whether a run of a recipe has rounds or tasks of which its plan knows nothing."""
    return plan.recipe.repeat is not None or any(task.tasks_from is not None for task in plan.tasks)


def tasks_of(run_root: Path) -> list[Box]:
    """Give the tasks that a run has by now; errors as in `plan_as_started`."""
    plan = plan_as_started(run_root)
    with reading(run_root) as database:
        rows = read_tasks(database)
        _, tasks = recall(
            database, plan, rows, defaultdict(dict), parts=Parts(), context=Context(), fixtures={}
        )  # no expression is evaluated, so no secret is needed
    return list(_boxes(tasks, [row.status for row in rows]))


def _boxes(tasks: list[Task], states: list[TaskState]) -> Iterator[Box]:
    for task, node, state in zip(tasks, nodes_of(tasks), states, strict=True):
        yield Box(
            position=task.position,
            name=task.task_id,
            kind=task.planned.kind,
            phase=task.phase,
            fans_by=_fans_by(task.planned) if task.is_fan else "",
            is_expanded=task.planned.is_expanded,
            waits_for=node.waits_for,
            state=state,
            parent=task.parent,
        )


def _fans_by(planned: PlannedTask) -> str:
    if planned.fan is None:
        return ""
    return "foreach" if planned.fan.matrix is None else "matrix"
