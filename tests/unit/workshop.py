"""Write small recipes, run them in this process, and read what was recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.plan import Plan, Selection, plan_recipe
from orchestrator.progress import Happening, Reporter, Silence, TaskEnded, TaskStarted, TaskWaiting
from orchestrator.runner import RunRequest, resume_run, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.store.contexts import HistoryEntry, read_history
from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from orchestrator.store.queries import AttemptRow, TaskRow, read_attempts, read_tasks


def recipe(*steps: str, head: str = "") -> str:
    """Write a recipe from its steps, as `python` and `shell` give them, and what stands above them."""
    return head + "steps:\n" + "".join(f"- {step}\n" for step in steps)


def python(name: str, function: str = "Write", keys: str = "") -> str:
    """Write a step that runs one of the small steps."""
    return f"{{name: {name}, type: python, module: ./steps.py, function: {function}{keys and f', {keys}'}}}"


def shell(name: str, command: str, keys: str = "") -> str:
    """Write a step that runs a command in a shell."""
    return f"{{name: {name}, type: shell, run: {json.dumps(command)}{keys and f', {keys}'}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run that was driven as far as it went: its outcome, and its records by task."""

    outcome: Outcome

    @property
    def root(self) -> Path:
        """Give the run directory."""
        return self.outcome.run_root

    @property
    def tasks(self) -> dict[str, TaskRow]:
        """Give the tasks by their names."""
        with reading(self.root) as database:
            return {row.task_id: row for row in read_tasks(database)}

    @property
    def states(self) -> list[str]:
        """Give the states of the tasks in list order."""
        return [row.status.value for row in self.tasks.values()]

    @property
    def reasons(self) -> list[str]:
        """Give why each task is in its state, in list order."""
        return [row.status_reason for row in self.tasks.values()]

    @property
    def events(self) -> list[str]:
        """Give the kinds of what happened, in order."""
        with reading(self.root) as database:
            return [event.kind for event in iterate_events(database)]

    def attempts(self, task: str) -> tuple[AttemptRow, ...]:
        """Give the attempts at a task, oldest first."""
        with reading(self.root) as database:
            return read_attempts(database, task)

    def history(self, key: str) -> tuple[HistoryEntry, ...]:
        """Give the writes of a context key, oldest first."""
        with reading(self.root) as database:
            return read_history(database, key)


class Notes:
    """A reporter that keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[Happening] = []

    def tell(self, happening: Happening) -> None:
        """Keep it."""
        self.told.append(happening)

    @property
    def endings(self) -> list[TaskEnded]:
        """Give the ends of attempts, and of tasks that had none."""
        return [happening for happening in self.told if isinstance(happening, TaskEnded)]

    @property
    def started(self) -> list[str]:
        """Give the tasks of which an attempt began, in order."""
        return [happening.task_id for happening in self.told if isinstance(happening, TaskStarted)]


class PowerCut:
    """A reporter with which the program ends as soon as an attempt has begun, so that nobody records its end.

    Of one that waits for people, that is when they are asked; ``after`` names it.
    """

    def __init__(self, after: str = "") -> None:
        self._after = after

    def tell(self, happening: Happening) -> None:
        """End everything."""
        is_asked = isinstance(happening, TaskWaiting) and happening.task_id == self._after
        if is_asked or (isinstance(happening, TaskStarted) and not self._after):
            raise SystemExit


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A folder with the small steps in it; recipes are run from there, Python steps in this process."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file, with the folders above it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def copy(self, name: str) -> None:
        """Put a copy of the small steps there."""
        shutil.copy(Path(__file__).with_name("small_steps.py"), self.folder / name)

    def plan(self, text: str, given: Mapping[str, JsonValue] | None = None, selection: Selection | None = None) -> Plan:
        """Plan a recipe."""
        return plan_recipe(str(self.write("r.yaml", text)), given or {}, selection)

    def problems(self, text: str) -> list[Problem]:
        """Give all that is wrong with a recipe that cannot be planned."""
        try:
            self.plan(text)
        except InvalidFileError as error:
            return list(error.problems)
        message = "nothing is wrong with the recipe"
        raise AssertionError(message)

    def run(  # noqa: PLR0913  one for each way to run
        self,
        text: str,
        *,
        inputs: Mapping[str, JsonValue] | None = None,
        selection: Selection | None = None,
        context: Mapping[str, JsonValue] | None = None,
        fail_fast: bool = True,
        fresh: bool = False,
        inline: bool = True,
        jobs: int | None = None,
        reporter: Reporter | None = None,
        break_at: tuple[str, ...] = (),
        stubs: Path | None = None,
        once: bool = False,
    ) -> Ran:
        """Run a recipe, or go on with a run of it that was interrupted."""
        request = RunRequest(
            recipe=str(self.write("r.yaml", text)),
            inputs=inputs or {},
            selection=selection or Selection(),
            context=context or {},
            workspaces_dir=self.folder / "workspaces",
            fresh=fresh,
            stubs=stubs,
            options=DriveOptions(
                inline=inline,
                jobs=jobs,
                fail_fast=fail_fast,
                reporter=reporter or Silence(),
                break_at=break_at,
                once=once,
            ),
        )
        return Ran(outcome=run(request))

    def resume(
        self,
        root: Path,
        *,
        accept_changes: bool = False,
        reporter: Reporter | None = None,
        inline: bool = True,
        once: bool = False,
    ) -> Ran:
        """Go on with a run."""
        options = DriveOptions(inline=inline, accept_changes=accept_changes, reporter=reporter or Silence(), once=once)
        return Ran(outcome=resume_run(root, options))

    def refused(self, text: str) -> list[str]:
        """Give why a recipe cannot be run, each with its place below the folder; nothing is left of it."""
        try:
            self.run(text)
        except InvalidFileError as error:
            assert self.runs() == []
            heads = [str(problem).split("\n")[0] for problem in error.problems]
            return [head.replace(f"{self.folder}/", "") for head in heads]
        message = "nothing is wrong with the recipe"
        raise AssertionError(message)

    def runs(self) -> list[Path]:
        """Give the run directories, in the order of their names."""
        return sorted(path.parent for path in self.folder.glob("workspaces/*/runs/*/recipe.yaml"))
