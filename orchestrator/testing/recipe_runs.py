"""Run a recipe as a test, and tell in full what failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import MatterStackError, NotJsonSafeError
from orchestrator.jsonsafe import JsonValue, check_json_safe, dumps
from orchestrator.progress import Happening, RunSettled, TaskEnded
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import RunState, TaskState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_attempts

_SHOWN_LINES = 40


class RecipeFailedError(Exception):
    """A recipe did not do what it has to; the text shows the line, the envelope and what the step printed."""


class RecipeRun:
    """A recipe with its inputs, run once for all the tests that look at its steps."""

    def __init__(self, *, path: Path, inputs: Mapping[str, JsonValue]) -> None:
        self._path = path
        self._inputs = inputs
        self._done: Outcome | None = None
        self._seen_by: set[str] = set()
        self._endings: dict[str, TaskEnded] = {}
        self._settled: RunSettled | None = None

    def tell(self, happening: Happening) -> None:
        """Keep how each task ended, as the runner's reporter."""
        if isinstance(happening, TaskEnded):
            self._endings[happening.task_id] = happening
        elif isinstance(happening, RunSettled):
            self._settled = happening

    def outcome(self, test: str, folder: Path, fixtures: Mapping[str, Any]) -> Outcome:
        """Run the recipe, unless it ran for other tests already; a test that asks again gets a new run."""
        if self._done is None or test in self._seen_by:
            self._endings, self._seen_by = {}, set()
            self._done = self._run(folder, fixtures)
        self._seen_by.add(test)
        return self._done

    def check(self, outcome: Outcome, step: str) -> None:
        """Raise `RecipeFailedError` where the run, or one step of it, failed."""
        if not step:
            if outcome.status is not RunState.COMPLETED:
                raise RecipeFailedError(self._told(outcome, outcome.step))
            return
        ending = self._endings.get(step)
        if ending is None or (ending.status in (TaskState.FAILED, TaskState.BLOCKED) and not ending.allowed):
            raise RecipeFailedError(self._told(outcome, step))

    def _run(self, folder: Path, fixtures: Mapping[str, Any]) -> Outcome:
        options = DriveOptions(inline=True, handle_signals=False, reporter=self, fixtures=_safe(fixtures))
        recipe = shown_path(self._path)
        request = RunRequest(recipe=recipe, inputs=self._inputs, workspaces_dir=folder, fresh=True, options=options)
        try:
            return run(request)
        except MatterStackError as error:
            raise RecipeFailedError(error.explained()) from error

    def _told(self, outcome: Outcome, task_id: str) -> str:
        """Give all that helps to see why: the place, the envelope, what the step printed, and where the run lies."""
        ending = self._endings.get(task_id)
        problem = ending.problem if ending else self._settled.problem if self._settled else None
        reason = ending.reason if ending else outcome.reason
        parts = [str(problem) if problem else f"{task_id}: {reason}" if task_id else reason]
        with reading(outcome.run_root) as database:
            attempts = read_attempts(database, task_id)
        if attempts and attempts[-1].envelope:
            parts.append(f"  = its envelope: {dumps(attempts[-1].envelope)}")
        lines = attempts[-1].stderr.strip().splitlines() if attempts else []
        if lines:
            parts += ["  = standard error:", *(f"  |   {line}" for line in lines[-_SHOWN_LINES:])]
        return "\n".join([*parts, f"  = run: {outcome.run_root}"])


def shown_path(path: Path) -> str:
    """Give a path as people would write it: relative to the current directory, where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _safe(fixtures: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Give the fixtures that expressions can see: those whose values are JSON."""
    found: dict[str, JsonValue] = {}
    for name, value in fixtures.items():
        try:
            check_json_safe(value)
        except NotJsonSafeError:
            continue
        found[name] = value
    return found
