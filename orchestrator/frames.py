"""Hold what the tasks of one list of steps share: the recipe, what expressions can name, and the values they write.

The steps of the recipe that is run have one frame; those of each recipe that a step uses have a frame of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.catalog import Project
from orchestrator.context import Change, Context
from orchestrator.expressions import Scope, evaluate
from orchestrator.jsonsafe import JsonValue, dumps, loads
from orchestrator.merge import Merge, Merged
from orchestrator.nodes import Node, Phase
from orchestrator.plan import PlannedTask, SubRecipe, plan_workflow, settle_vars
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.store.runs import round_id

# The values of secrets by their names, by the file of the recipe that declares them.
Secrets = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One list of steps on its way; ``names`` is what expressions can name besides the context."""

    loaded: LoadedRecipe
    project: Project
    planned: tuple[PlannedTask, ...]
    names: dict[str, JsonValue]
    context: Context
    merge: Merge
    is_used: bool = False

    @property
    def scope(self) -> Scope:
        """Give what an expression sees that belongs to no task."""
        return Scope(names=self.names, ctx=self.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of the run: a step, or a step with one of the items that it fans out over, as JSON text.

    ``parent`` is the task that was expanded into this one, for an item or a step of a used recipe; ``round`` tells
    which time it is in a recipe that repeats its steps.
    """

    position: int
    task_id: str
    planned: PlannedTask
    frame: Frame
    parent: int | None = None
    item: str | None = None
    round: int = 1
    phase: Phase = Phase.STEPS
    closes: Phase = Phase.STEPS

    @property
    def part(self) -> Phase:
        """Give the latest part of a recipe that it stands in: its own, or one that it was expanded from."""
        return max(self.phase, self.closes)

    @property
    def is_fan(self) -> bool:
        """Tell whether it is to be expanded into its items."""
        return self.planned.fan is not None and self.item is None

    @property
    def is_group(self) -> bool:
        """Tell whether it is to be expanded instead of run."""
        return self.is_fan or self.planned.is_expanded

    @property
    def first(self) -> int:
        """Give the position of the first task of its list: what its step waits for is counted from there."""
        of_step = self.position if self.item is None or self.parent is None else self.parent
        return of_step - self.planned.position

    @property
    def node(self) -> Node:
        """Give what the board knows of it."""
        planned = self.planned
        if self.item is None and not self.first:
            return planned.node
        after, after_end = planned.node.after, planned.node.after_end
        if self.item is not None:
            after, after_end = (), ()
        elif self.closes is not Phase.STEPS:
            after_end = (*after_end, *self._of_earlier_parts())
        return dataclasses.replace(
            planned.node,
            task_id=planned.node.task_id if self.item is not None else self.task_id,
            after=tuple(self.first + position for position in after),
            after_end=tuple(self.first + position for position in after_end),
            locks=planned.locks if self.item is not None else planned.node.locks,
            is_group=planned.node.is_group if self.item is None else planned.is_expanded,
            has_rounds=not self.is_fan and planned.sub is not None and planned.sub.loaded.recipe.repeat is not None,
            parent=self.parent,
            phase=self.phase,
            part=planned.node.phase,
            closes=self.closes,
        )

    def item_task(self, position: int, name: str, text: str) -> Task:
        """Give the task of one of the items that it fans out over."""
        return Task(
            position=position,
            task_id=f"{self.task_id}[{name}]",
            round=self.round,
            planned=self.planned,
            frame=self.frame,
            parent=self.position,
            item=text,
            phase=self.phase,
            closes=self.closes,
        )

    def step_task(self, position: int, task_id: str, planned: PlannedTask, frame: Frame, number: int = 1) -> Task:
        """Give the task of a step, in one of its rounds, of the recipe that it uses, or of a task of its workflow."""
        return Task(
            position=position,
            task_id=task_id,
            round=number,
            planned=planned,
            frame=frame,
            parent=self.position,
            phase=self.phase,
            closes=max(self.closes, planned.node.phase),
        )

    @property
    def prefix(self) -> str:
        """Give what the ids of the tasks begin with that it becomes; those of a workflow have names of their own."""
        is_workflow = self.planned.tasks_from is not None and self.parent is None
        return "" if is_workflow else f"{self.task_id}/"

    def _of_earlier_parts(self) -> Iterator[int]:
        own = self.planned.node.phase
        return (task.position for task in self.frame.planned if task.node.phase < own)

    def scope(self, seen: Context) -> Scope:
        """Give what its expressions see."""
        names = self.frame.names if self.item is None else {**self.frame.names, "item": loads(self.item)}
        return Scope(names=names, ctx=seen)

    def merged(self) -> Merged:
        """Share what it may see: what those before it wrote, and in the later phases what all steps did."""
        merge, phase = self.frame.merge, self.planned.node.phase
        first = self.first
        key = first + self.planned.position
        if not merge.knows(key):
            for other in self.frame.planned:
                if other.node.phase is phase and not merge.knows(first + other.position):
                    merge.add(first + other.position)
        return merge.before(key)

    def hidden_from_shared(self, shared: Context, hidden: tuple[Change, ...]) -> tuple[Change, ...]:
        """Give what turns the context that all workers know into what this task sees."""
        if self.frame.context is shared:
            return hidden
        return (*_instead_of(shared, self.frame.context), *hidden)


def root_task(position: int, planned: PlannedTask, frame: Frame, number: int = 1) -> Task:
    """Give the task of a step, in one of its rounds, of the recipe that is run."""
    return Task(
        position=position,
        task_id=round_id(planned.step, number),
        planned=planned,
        frame=frame,
        round=number,
        phase=planned.node.phase,
    )


def part_of(planned: PlannedTask, inputs: Mapping[str, JsonValue], project: Project) -> SubRecipe:
    """Give the recipe that a step uses, or the one that its workflow, which is among ``inputs``, amounts to."""
    if planned.sub is not None:
        return planned.sub
    tasks: Any = inputs["tasks"]
    return plan_workflow(tasks, project)


class Parts:
    """The recipes that tasks of one run use, as its records tell; the same workflow is planned once."""

    def __init__(self) -> None:
        self._workflows: dict[tuple[str, Project], SubRecipe] = {}

    def of(self, planned: PlannedTask, inputs_json: str, project: Project) -> SubRecipe:
        """Give the recipe that a step uses, or the one that its workflow amounts to, as `part_of` does."""
        if planned.sub is not None:
            return planned.sub
        key = (inputs_json, project)
        if key not in self._workflows:
            self._workflows[key] = part_of(planned, loads(inputs_json), project)  # type: ignore[arg-type]
        return self._workflows[key]


def sub_frame(sub: SubRecipe, inputs: dict[str, JsonValue], around: dict[str, JsonValue], secrets: Secrets) -> Frame:
    """Give the frame of a recipe that a step uses; it sees its own inputs, constants, secrets, steps and values."""
    source = sub.loaded.source
    own: dict[str, JsonValue] = {
        "inputs": inputs,
        "vars": settle_vars(sub.loaded, inputs),
        "secrets": dict(secrets.get(source.name, {})),
        "steps": {},
        "recipe": {"name": Path(source.name).name, "path": source.name},
    }
    wins = sub.loaded.recipe.on_conflict == "last_write_wins"
    return Frame(
        loaded=sub.loaded,
        project=sub.project,
        planned=sub.tasks,
        names={**around, **own},
        context=Context(),
        merge=Merge({}, last_write_wins=wins),
        is_used=True,
    )


def frame_outputs(frame: Frame, using: PlannedTask) -> tuple[Change, ...]:
    """Evaluate the outputs of a used recipe: the values that its step writes, as ``step.output``."""
    outputs = frame.loaded.recipe.outputs
    values = ((f"{using.step}.{name}", evaluate(text, frame.scope)) for name, text in outputs.items())
    return tuple(Change(key, dumps(value, key), using.step) for key, value in values)


def nodes_of(tasks: list[Task]) -> list[Node]:
    """Give the nodes of tasks; the items of one fan-out share theirs.

    What begins a later round waits for the round before it, which matters where both are to run again.
    """
    rounds: dict[tuple[int | None, int], list[int]] = {}
    for task in filter(_is_in_round, tasks):
        rounds.setdefault((task.parent, task.round), []).append(task.position)
    items: dict[int | None, Node] = {}
    nodes = []
    for task in tasks:
        node = items.get(task.parent) if task.item is not None else None
        node = task.node if node is None else node
        if task.item is not None:
            items[task.parent] = node
        elif _is_in_round(task) and not node.after and (before := rounds.get((task.parent, task.round - 1))):
            node = dataclasses.replace(node, after=tuple(before))
        nodes.append(node)
    return nodes


def _is_in_round(task: Task) -> bool:
    return task.item is None and task.planned.node.phase is Phase.STEPS


def add_to_merge(tasks: list[Task], positions_with_writes: set[int]) -> None:
    """Let the merges of their frames know tasks, in an order in which they could run."""
    for task in sorted(tasks, key=lambda task: task.planned.node.phase):
        is_step = task.planned.node.phase is Phase.STEPS
        if task.item is None and (is_step or task.position in positions_with_writes):
            is_first_of_round = task.round > 1 and not task.planned.node.after
            after = [task.first + position for position in task.planned.node.after]
            task.frame.merge.add(task.position, after if is_step and not is_first_of_round else None)


def _instead_of(shared: Context, own: Context) -> Iterator[Change]:
    yield from (Change(key, None, "") for key in shared.texts())
    yield from (Change(key, text, "") for key, text in own.texts().items())
