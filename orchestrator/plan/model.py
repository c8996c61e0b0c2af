"""Describe a plan: the tasks of a run before it begins, and what each of them takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.caching import CacheRule
from orchestrator.catalog import Project, ScriptletFile
from orchestrator.checks import SuccessRules
from orchestrator.errors import Place
from orchestrator.fanning import Fan
from orchestrator.jsonsafe import JsonValue
from orchestrator.nodes import Node
from orchestrator.plan.selection import Selection
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import Recipe
from orchestrator.sources import Source
from orchestrator.states import TaskState
from orchestrator.workers.calls import CommandCall, ExperimentCall, HumanCall, PythonCall

# What every step holds that did not say it may run beside others; no lock of a recipe has this name.
LANE = ""
_ITEM = re.compile(r"\bitem\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """What a step that an operator carries out takes with it, asks for, and brings back.

    ``grow`` says by what factor each of its resources grows with every retry; times are in seconds, memory in GB.
    ``on_walltime`` says what happens near the end of its time: ``signal``, ``before`` and ``restart``.
    """

    operator_key: str
    files: Mapping[str, JsonValue] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    grow: Mapping[str, float] = field(default_factory=dict)
    fetch: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    on_walltime: Mapping[str, JsonValue] = field(default_factory=dict)

    def resources_after(self, failures: int) -> dict[str, float]:
        """Give what an attempt asks for after so many failures: more of what grows with each."""
        return {
            name: type(amount)(amount * self.grow.get(name, 1.0) ** failures) for name, amount in self.resources.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One task, ready to run once its arguments are evaluated.

    Where it has ``tasks_from``, what it gives then says which tasks it becomes.
    ``needs_process`` keeps it out of the runner's own; ``isolation`` is ``inline``, ``worker`` or, where the recipe
    does not say, empty.
    """

    position: int
    task_id: str
    step: str
    kind: str
    target: PythonCall | CommandCall | HumanCall | ExperimentCall
    away: Away | None = None
    file: ScriptletFile | None = None
    definition_sha256: str
    node: Node
    fan: Fan | None = None
    sub: SubRecipe | None = None
    tasks_from: JsonValue = None
    rules: SuccessRules = field(default_factory=SuccessRules)
    save: dict[str, str] = field(default_factory=dict)
    locks: tuple[str, ...] = ()
    cache: CacheRule | None = None
    args: dict[str, JsonValue] = field(default_factory=dict)
    env: dict[str, JsonValue] = field(default_factory=dict)
    when: str = ""
    timeout_sec: float | None = None
    needs_process: bool = False
    isolation: str = ""
    free_stdout: bool = False
    left_out: str = ""

    @property
    def is_expanded(self) -> bool:
        """Tell whether it becomes the steps of another recipe, or the tasks of a workflow, instead of being run."""
        return self.sub is not None or self.tasks_from is not None

    @property
    def is_charged(self) -> bool:
        """Tell whether its attempts cost core-hours: an operator runs a program for it."""
        return self.away is not None and isinstance(self.target, PythonCall | CommandCall)

    def limit_sec(self, resources: Mapping[str, float]) -> float | None:
        """Give how long an attempt may take that asks for some resources; None where nothing limits it."""
        limits = (self.timeout_sec, resources.get("time_limit"))
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def runs(self) -> str:
        """Give what the task runs, for people."""
        if isinstance(self.target, PythonCall):
            return f"{self.target.path.name}:{self.target.class_name}"
        if isinstance(self.target, CommandCall):
            return " ".join(self.target.argv)
        return self.away.operator_key if self.away else ""

    @property
    def code(self) -> dict[str, JsonValue]:
        """Give what the task runs, as far as a cached result depends on it."""
        target = self.target
        what: JsonValue = self.runs
        if isinstance(target, PythonCall | CommandCall):
            what = target.class_name if isinstance(target, PythonCall) else list(target.argv)
        if self.file and isinstance(target, CommandCall):
            what = self.file.path.name
        return {"type": self.kind, "runs": what, "source_sha256": self.file.sha256 if self.file else ""}

    @property
    def when_sees_item(self) -> bool:
        """Tell whether the condition is one of each item, not of the step as a whole."""
        return _ITEM.search(self.when) is not None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the task as it is recorded with a new run."""
        state = {"status": TaskState.SKIPPED.value, "status_reason": self.left_out} if self.left_out else {}
        return {
            "task_id": self.task_id,
            "step": self.step,
            "phase": int(self.node.phase),
            "definition_sha256": self.definition_sha256,
            **state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRecipe:
    """A recipe that a step uses, planned but for its inputs, which are known when the step begins."""

    loaded: LoadedRecipe
    project: Project
    tasks: tuple[PlannedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files and the used recipes behind the steps of a recipe, by step."""

    files: Mapping[str, ScriptletFile | None]
    subs: Mapping[str, SubRecipe]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run needs to know before it begins."""

    loaded: LoadedRecipe
    project: Project
    selection: Selection
    inputs: dict[str, JsonValue]
    vars: dict[str, JsonValue]
    tasks: tuple[PlannedTask, ...]

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Give the recipe that is run and those that it uses, by the names of their files."""
        found = {self.source.name: self.recipe}
        subs = [task.sub for task in self.tasks if task.sub]
        while subs:
            sub = subs.pop()
            found[sub.loaded.source.name] = sub.loaded.recipe
            subs += [task.sub for task in sub.tasks if task.sub]
        return found

    @property
    def step_ids(self) -> list[str]:
        """Give the steps that are attempted, those of used recipes as ``report/fit``."""
        return [*_step_ids(self.tasks)]

    @property
    def is_routed(self) -> bool:
        """Tell whether operators carry out some of its steps, or may have to carry out tasks that are planned later."""
        return bool(self.operator_keys) or _plans_later(self.tasks)

    @property
    def operator_keys(self) -> dict[str, Place]:
        """Give the operators that steps are routed to, each with the place of the first step that is."""
        return dict(_operator_keys(self.loaded, self.tasks))

    @property
    def steps(self) -> Iterator[tuple[LoadedRecipe, PlannedTask]]:
        """Give each step that may run, those of used recipes too, with the recipe in which it stands."""
        yield from _steps(self.loaded, self.tasks)

    @property
    def max_parallel(self) -> int:
        """Give how many steps may run at once where nobody says otherwise: one for each processor."""
        return self.recipe.max_parallel or usable_processors()

    @property
    def source(self) -> Source:
        """Give the recipe's text, name and digest."""
        return self.loaded.source

    @property
    def recipe(self) -> Recipe:
        """Give the recipe's model."""
        return self.loaded.recipe

    @property
    def recorded(self) -> dict[str, JsonValue]:
        """Give what is recorded of its recipe with a run that goes by it."""
        budget = self.recipe.budget
        return {"recipe_sha256": self.source.sha256, "budget": budget.model_dump() if budget else None}

    @property
    def test_id(self) -> str:
        """Give the recipe's test id, or nothing."""
        return self.recipe.test_meta.test_id


def _step_ids(tasks: Iterable[PlannedTask]) -> Iterator[str]:
    for task in tasks:
        if task.sub:
            yield from (f"{task.step}/{inner}" for inner in _step_ids(task.sub.tasks))
        else:
            yield task.step


def _plans_later(tasks: Iterable[PlannedTask]) -> bool:
    return any(task.tasks_from is not None or (task.sub and _plans_later(task.sub.tasks)) for task in tasks)


def _operator_keys(loaded: LoadedRecipe, tasks: Iterable[PlannedTask]) -> Iterator[tuple[str, Place]]:
    """Give the operator key of each step that has one; the first of one key comes last, and so counts."""
    for task in reversed([*tasks]):
        if task.away:
            yield task.away.operator_key, loaded.place(task.step, "operator_key")
        elif task.sub:
            yield from _operator_keys(task.sub.loaded, task.sub.tasks)


def _steps(loaded: LoadedRecipe, tasks: Iterable[PlannedTask]) -> Iterator[tuple[LoadedRecipe, PlannedTask]]:
    for task in tasks:
        if not task.left_out:
            yield loaded, task
            if task.sub:
                yield from _steps(task.sub.loaded, task.sub.tasks)


def usable_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
