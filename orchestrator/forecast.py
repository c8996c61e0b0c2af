"""Say what a run of a plan would do with each step, as far as that is known before it: nothing is run or written."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orchestrator.caching import CacheKey, differences
from orchestrator.context import Change, Context
from orchestrator.errors import ExpressionError, UsageError
from orchestrator.expressions import Scope, evaluate_condition, resolve
from orchestrator.fanning import fan_out
from orchestrator.jsonsafe import JsonValue
from orchestrator.judging import missing_files
from orchestrator.nodes import Phase
from orchestrator.outcomes import Verdict, judge_done
from orchestrator.plan import LANE, Plan, PlannedTask
from orchestrator.reuse import Reuse
from orchestrator.secrecy import Masker, read_secrets
from orchestrator.store.cache import Result, ResultCache
from orchestrator.workers.calls import Done

MOST_BESIDE = 20

# What only a run knows: its own names always, and the context from the first step on that is not taken over.
_OF_RUN = re.compile(r"\b(run|fixtures|result)\b")
_OF_STEPS = re.compile(r"\b(ctx|steps)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would become of one step: ``run``, ``cached``, ``skip``, or ``?`` where only the run can tell; and why.

    ``beside`` names up to twenty steps that may run at the same time.
    """

    task: PlannedTask
    what: str
    why: str = ""
    beside: tuple[str, ...] = ()


class _Outlook:
    """What is known so far; it loses the context with the first step that would run."""

    def __init__(self, plan: Plan, cache: ResultCache) -> None:
        self._cache = cache
        self._recipe = Path(plan.source.name).name
        secrets, self._lacks_secrets = _secrets(plan)
        self._reuse = Reuse(plan, "", cache=cache, masker=Masker(secrets.values()))
        self._context = Context()
        self._is_certain = True
        self._names: dict[str, JsonValue] = {
            "inputs": plan.inputs,
            "vars": plan.vars,
            "secrets": dict(secrets),
            "env": dict(os.environ),
            "steps": {},
            "recipe": {"name": self._recipe, "path": str(Path(plan.source.name).absolute())},
        }

    def of(self, task: PlannedTask) -> tuple[str, str]:
        """Say what would become of a step, and take note of it."""
        what, why, changes = self._look(task)
        self._context.apply(changes)
        self._is_certain = self._is_certain and what in {"cached", "skip"} and not task.fan
        return what, why

    def _look(self, task: PlannedTask) -> tuple[str, str, tuple[Change, ...]]:
        if task.left_out or task.node.phase is Phase.ON_FAILURE:
            return ("skip", task.left_out, ()) if task.left_out else ("?", "runs only after a failure", ())
        try:
            if task.when and not task.when_sees_item and not self._holds(task.when):
                return "skip", f"when: {task.when} is false", ()
            if task.fan is not None:
                return self._look_at_items(task)
            return self._look_at_result(task, task.task_id, Scope(names=self._names, ctx=self._context))
        except _UnknownError as unknown:
            return "?", f"{unknown}: known only during the run", ()
        except ExpressionError as error:
            return "?", error.message, ()

    def _holds(self, text: str) -> bool:
        self._check("when", text)
        return evaluate_condition(text, Scope(names=self._names, ctx=self._context))

    def _look_at_items(self, task: PlannedTask) -> tuple[str, str, tuple[Change, ...]]:
        if task.fan is None:
            return "run", "", ()
        self._check("matrix" if task.fan.matrix else "foreach", task.fan.matrix or task.fan.foreach)
        counts: Counter[str] = Counter()
        for name, item in fan_out(task.fan, Scope(names=self._names, ctx=self._context)):
            scope = Scope(names={**self._names, "item": item}, ctx=self._context)
            counts[self._look_at_result(task, f"{task.task_id}[{name}]", scope)[0]] += 1
        said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        return ("cached" if set(counts) == {"cached"} else "run"), f"{counts.total()} items: {said or 'none'}", ()

    def _look_at_result(self, task: PlannedTask, task_id: str, scope: Scope) -> tuple[str, str, tuple[Change, ...]]:
        """Look for a kept result of a step, or of one of its items."""
        if task.sub is not None:
            return "run", f"the steps of {task.target.argv[0]}", ()  # type: ignore[union-attr]
        if task.tasks_from is not None:
            return "run", "tasks that are planned during the run", ()
        if task.cache is None:
            return "run", "", ()
        if self._lacks_secrets:
            return "?", f"{self._lacks_secrets}: the key of its result depends on it", ()
        self._check("cache", [task.args, task.env, list(task.cache.files), task.cache.key])
        if task.cache.ctx and not self._is_certain:
            raise _UnknownError("cache")
        key = self._reuse.key(task, scope, resolve(task.args, scope), resolve(task.env, scope))
        found = self._reuse.find(task_id, key) if key else None
        verdict = self._judge(task, scope, found) if found else None
        if found and verdict and not verdict.failing:
            return "cached", f"the result of run {found.run_id}", verdict.changes
        return "run", self._what_changed(task_id, key), ()

    def _judge(self, task: PlannedTask, scope: Scope, found: Result) -> Verdict:
        """Judge a kept result as a run would, since what counts as success may be another thing now."""
        return judge_done(
            Done(attempt_id="", exit_code=task.rules.exit_code, stdout=found.stdout, changes=found.writes),
            step=task.step,
            rules=task.rules,
            save=task.save,
            context=self._context,
            names=scope.names,
            missing=missing_files,
            free_stdout=task.free_stdout,
        )

    def _what_changed(self, task_id: str, key: CacheKey | None) -> str:
        former = self._cache.latest(self._recipe, task_id)
        if former is None or key is None:
            return "no result is kept"
        changed = differences(former.parts, key.parts)
        return f"changed since run {former.run_id}: {'; '.join(changed) or 'a file that it left'}"

    def _check(self, what: str, value: object) -> None:
        text = value if isinstance(value, str) and what == "when" else " ".join(_expressions(value))
        if _OF_RUN.search(text) or (not self._is_certain and _OF_STEPS.search(text)):
            raise _UnknownError(what)


class _UnknownError(Exception):
    """Something depends on what only the run will know."""


def forecast(plan: Plan, workspaces: Path) -> Iterator[Forecast]:
    """Say of each step, in the order in which they would run, what would become of it and why."""
    cache = ResultCache(workspaces, readonly=True)
    outlook = _Outlook(plan, cache)
    try:
        for task, beside in zip(plan.tasks, _beside(plan), strict=True):
            what, why = outlook.of(task)
            yield Forecast(task=task, what=what, why=why, beside=beside)
    finally:
        cache.close()


def _secrets(plan: Plan) -> tuple[Mapping[str, str], str]:
    try:
        return read_secrets(plan.recipe.secrets), ""
    except UsageError as error:
        return {}, error.message


def _beside(plan: Plan) -> list[tuple[str, ...]]:
    """Give, for each step, some that may run at the same time: none waits for the other, and they share no lock."""
    tasks = plan.tasks
    before = [0] * len(tasks)
    after = [0] * len(tasks)
    sharing: dict[object, int] = {}
    for task in tasks:
        for other in task.node.waits_for:
            before[task.position] |= before[other] | 1 << other
        for kind in (task.node.phase, *task.node.locks):
            sharing[kind] = sharing.get(kind, 0) | 1 << task.position
    for task in reversed(tasks):
        for other in task.node.waits_for:
            after[other] |= after[task.position] | 1 << task.position
    found = []
    for task in tasks:
        mask = sharing[task.node.phase] & ~(before[task.position] | after[task.position] | 1 << task.position)
        for lock in task.node.locks:
            mask &= ~sharing[lock]
        found.append(tuple(tasks[position].task_id for position in islice(_bits(mask), MOST_BESIDE)))
    return found


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def locks_of(task: PlannedTask) -> tuple[str, ...]:
    """Give the locks that a recipe names for a step."""
    return tuple(lock for lock in task.node.locks if lock != LANE)


def _expressions(value: object) -> Iterator[str]:
    """Give the insides of all expressions in a value."""
    yield from re.findall(r"\$\{\{(.*?)\}\}", json.dumps(value, default=list), re.DOTALL)
