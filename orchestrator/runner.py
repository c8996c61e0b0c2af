"""Put a run together and drive it: from a recipe file, or from the run directory of one that was interrupted."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Run as a script, this folder comes first on the path, where its modules would hide others of the same name.
    import runpy
    from pathlib import Path

    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    sys.path.insert(0, str(here.parent))
    sys.argv[1:1] = [] if sys.argv[1:] == ["--version"] else ["run"]
    runpy.run_module("orchestrator", run_name="__main__", alter_sys=True)
    sys.exit()

import os
import platform
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator import __version__
from orchestrator.context import Context
from orchestrator.driver import Driver
from orchestrator.engine import Board
from orchestrator.errors import InfrastructureError, RunLockedError, StepFailedError, StoreError, UsageError
from orchestrator.files import replace_file, sweep_temporaries
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue
from orchestrator.paths import (
    RunPlace,
    new_run_id,
    runs_of_workspace,
    workspace_slug,
    workspaces_root,
)
from orchestrator.plan import Plan, Selection, plan_recipe, plan_source
from orchestrator.progress import Reporter, RunBegun, RunSettled, Silence
from orchestrator.sources import Source, read_source
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import Database, close_opened, is_network_path, opened, reading
from orchestrator.store.events import append_event, chain_fault
from orchestrator.store.leases import Lease, take
from orchestrator.store.queries import TaskRow, count_failures, read_inputs, read_open_attempts, read_run, read_tasks
from orchestrator.store.runs import put_inputs, redefine_tasks, set_run_state
from orchestrator.workers.pool import WorkerPool

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run and how; ``recipe`` is a path, or ``-`` for standard input; inputs may be text to be typed."""

    recipe: str
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    resume_from: str | None = None
    context: Mapping[str, JsonValue] = field(default_factory=dict)
    workspace: str | None = None
    workspaces_dir: Path | None = None
    inline: bool = False
    fail_fast: bool = True
    fresh: bool = False
    takeover: bool = False
    allow_network_fs: bool = False
    handle_signals: bool = True
    reporter: Reporter = field(default_factory=Silence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to; ``step`` is the first task whose failure counted."""

    run_root: Path
    status: RunState
    reason: str
    step: str
    context: Context
    exit_status: int

    def to_json(self) -> dict[str, Any]:
        """Give the one line that `run` prints."""
        keys = [key for key in self.context if not key.startswith("_")]
        place = {"run_id": self.run_root.name, "run_root": str(self.run_root)}
        if self.status is RunState.COMPLETED:
            return {"status": "ok", "ctx_keys": keys, **place}
        failure = {"reason": self.reason, "exit_code": self.exit_status, "step": self.step}
        return {"status": "error", **failure, "ctx_keys": keys, **place}


def run_recipe(
    path: str | Path,
    inputs: Mapping[str, JsonValue] | None = None,
    *,
    workspaces_dir: str | Path | None = None,
    isolation: str = "inline",
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
) -> Context:
    """Run a recipe to its end and return the context; raise `StepFailedError` when a step failed.

    Python steps run in this process (``isolation="inline"``), or each in a warm child process (``"worker"``).
    """
    request = RunRequest(
        recipe=str(path),
        inputs=inputs or {},
        only=only,
        skip=skip,
        workspaces_dir=Path(workspaces_dir) if workspaces_dir else None,
        inline=isolation == "inline",
        fresh=True,
        handle_signals=False,
    )
    outcome = run(request)
    if outcome.status is RunState.PENDING:
        raise KeyboardInterrupt
    if outcome.status is not RunState.COMPLETED:
        raise StepFailedError(f"{outcome.step}: {outcome.reason}", step=outcome.step, hint=f"see {outcome.run_root}")
    return outcome.context


def run(request: RunRequest) -> Outcome:
    """Run a recipe: go on with an interrupted run of it that was started the same way, or begin a new one."""
    plan = plan_recipe(request.recipe, request.inputs, _selection(request))
    folder = plan.project.recipe_folder
    workspaces = workspaces_root(request.workspaces_dir)
    slug = workspace_slug(folder / _file_name(request.recipe), workspaces, request.workspace or plan.recipe.workspace)
    if not request.fresh and (waiting := _interrupted_run(workspaces / slug, _started_with(plan, folder, request))):
        try:
            return resume_run(
                waiting,
                takeover=request.takeover,
                inline=request.inline,
                fail_fast=request.fail_fast,
                reporter=request.reporter,
            )
        except RunLockedError:
            pass  # that run is being driven: what was asked for is another one
    place = RunPlace(workspaces=workspaces, slug=slug, run_id=new_run_id())
    _refuse_network(place.root, allowed=request.allow_network_fs)
    _open_run(place, plan, folder, request)
    return _drive(place.root, plan, request)


def resume_run(
    run_root: Path,
    *,
    accept_changes: bool = False,
    takeover: bool = False,
    inline: bool = False,
    fail_fast: bool = True,
    handle_signals: bool = True,
    reporter: Reporter | None = None,
) -> Outcome:
    """Continue an interrupted run with the recipe, inputs and directory it was started with.

    A recipe or scriptlet that changed since is refused unless ``accept_changes``; then the changed steps run again.
    """
    with reading(run_root) as database:
        row, inputs = read_run(database), read_inputs(database)
    if row.status in ENDED_RUNS:
        raise UsageError(f"run {row.run_id} is {row.status}; there is nothing to resume", hint="start a new run")
    _return_to(inputs["working_directory"])
    source = _resumed_source(run_root, inputs, accept_changes=accept_changes)
    selection = Selection(**{name: tuple(names) for name, names in inputs["selection"].items()})
    plan = plan_source(source, Path(inputs["recipe_folder"]), inputs["inputs"], selection)
    request = RunRequest(
        recipe=inputs["recipe_path"],
        takeover=takeover,
        inline=inline,
        fail_fast=fail_fast,
        handle_signals=handle_signals,
        reporter=reporter or Silence(),
    )
    return _drive(run_root, plan, request, accept_changes=accept_changes)


def _file_name(recipe: str) -> str:
    """Give the recipe's file name; one from standard input has a name all the same."""
    return "stdin.yaml" if recipe == "-" else Path(recipe).name


def _selection(request: RunRequest) -> Selection:
    starts = () if request.resume_from is None else (request.resume_from,)
    return Selection(only=request.only, skip=request.skip, resume_from=starts)


def _started_with(plan: Plan, folder: Path, request: RunRequest) -> dict[str, Any]:
    """Give what makes two runs the same run: recipe, inputs, selection and the directory the steps work in."""
    return {
        "recipe_sha256": plan.source.sha256,
        "recipe_folder": str(folder),
        "inputs": dict(request.inputs),
        "selection": plan.selection.to_json(),
        "working_directory": str(Path.cwd()),
    }


def _interrupted_run(workspace: Path, started_with: Mapping[str, Any]) -> Path | None:
    """Find the newest run of a workspace that has not ended and was started the same way."""
    for root in runs_of_workspace(workspace):
        with suppress(StoreError), reading(root) as database:
            if read_run(database).status not in ENDED_RUNS:
                return root if started_with.items() <= read_inputs(database).items() else None
    return None


def _open_run(place: RunPlace, plan: Plan, folder: Path, request: RunRequest) -> None:
    context = {**_inherited(place, request), **request.context}
    happen(
        "run.new",
        {
            "run_root": str(place.root),
            "workspace_slug": place.slug,
            "recipe_name": _file_name(request.recipe),
            "recipe_text": plan.source.text,
            "inputs": {
                **_started_with(plan, folder, request),
                "recipe_path": request.recipe if request.recipe == "-" else str(folder / _file_name(request.recipe)),
                "argv": sys.argv,
                "versions": {"matterstack": __version__, "python": platform.python_version()},
            },
            "context": context,
            "tasks": [task.to_json() for task in plan.tasks],
        },
    )


def _inherited(place: RunPlace, request: RunRequest) -> dict[str, JsonValue]:
    """Give the context of the workspace's last run where the start is in the middle of the recipe."""
    if request.resume_from is None or request.context:
        return {}
    last = next(runs_of_workspace(place.workspaces / place.slug), None)
    if last is None:
        raise UsageError(
            f"--resume-from {request.resume_from}: {place.slug!r} has no earlier run to take values from",
            hint="run the recipe from its beginning, or give --ctx FILE",
        )
    with reading(last) as database:
        return {change.key: change.value for change in read_context(database)}


def _drive(run_root: Path, plan: Plan, request: RunRequest, *, accept_changes: bool = False) -> Outcome:
    """Take the lease of a run, settle what an earlier runner left, and drive it as far as it goes."""
    database = opened(run_root)
    context = Context()
    pool = WorkerPool(context, folders=[str(plan.project.root)])
    try:
        lease = take(database, takeover=request.takeover)
        try:
            if not request.inline:
                pool.warm()
            _settle_earlier(database, plan, accept_changes=accept_changes)
            context.apply(read_context(database))
            return _driven(database, lease, plan, request, context, pool)
        finally:
            lease.release()
    finally:
        pool.close()
        close_opened(run_root)


def _driven(
    database: Database, lease: Lease, plan: Plan, request: RunRequest, context: Context, pool: WorkerPool
) -> Outcome:
    rows = read_tasks(database)
    board = Board([task.node for task in plan.tasks], [row.status for row in rows], fail_fast=request.fail_fast)
    board.recall_failures(count_failures(database))
    driver = Driver(
        plan,
        database,
        lease,
        board=board,
        context=context,
        pool=pool,
        names=_names(plan, database.run_root, rows),
        reporter=request.reporter,
        attempt_counts={row.position: row.attempt_count for row in rows},
        inline=request.inline,
    )
    request.reporter.tell(_beginning(database, plan, rows))
    with _stopping_on_signals(driver, enabled=request.handle_signals) as caught:
        status, step = driver.drive()
    return _settle(database, context, request.reporter, status, step, caught)


def _settle_earlier(database: Database, plan: Plan, *, accept_changes: bool) -> None:
    """Check the history, refuse or take over changed steps, and give back the tasks of attempts that never ended."""
    for folder in (database.run_root, database.run_root.parent):
        sweep_temporaries(folder)
    if fault := chain_fault(database):
        raise StoreError(f"the history of {database.run_root.name} does not hold: {fault}", hint="restore a backup")
    _take_over_changes(database, plan, accept_changes=accept_changes)
    orphans = read_open_attempts(database)
    with database.transaction():
        if read_run(database).status is not RunState.PENDING or orphans:
            append_event(database, "run.resumed", {"orphans": [orphan.attempt_id for orphan in orphans]})
        for orphan in orphans:
            lost = {"status": AttemptState.LOST, "task_status": TaskState.PENDING, "outcome": "runner died"}
            happen("attempt.exited", {"run_root": str(database.run_root), "attempt_id": orphan.attempt_id, **lost})
        set_run_state(database, RunState.RUNNING)


def _take_over_changes(database: Database, plan: Plan, *, accept_changes: bool) -> None:
    """Compare the definitions of the tasks with those the run was started with."""
    rows = read_tasks(database)
    if [row.task_id for row in rows] != [task.task_id for task in plan.tasks]:
        raise UsageError("the recipe's list of steps changed since the run began", hint="start a new run", code="MS307")
    pairs = zip(rows, plan.tasks, strict=True)
    changed = {
        task.task_id: task.definition_sha256 for row, task in pairs if row.definition_sha256 != task.definition_sha256
    }
    if changed and not accept_changes:
        raise UsageError(
            f"changed since run {database.run_root.name} began: {', '.join(changed)}",
            hint=_accepting(database.run_root),
            code="MS307",
        )
    if changed:
        with database.transaction():
            redefine_tasks(database, changed)
            put_inputs(database, {"recipe_sha256": plan.source.sha256})
        replace_file(database.run_root / "recipe.yaml", plan.source.text.encode(), mode=0o644)


def _resumed_source(run_root: Path, inputs: Mapping[str, Any], *, accept_changes: bool) -> Source:
    """Give the recipe as started, or the changed one where that is accepted."""
    path = Path(inputs["recipe_path"])
    kept = Source.from_text(inputs["recipe_path"], (run_root / "recipe.yaml").read_text(encoding="utf-8"))
    if not path.is_file():
        return kept
    present = read_source(path)
    if present.sha256 == inputs["recipe_sha256"] or accept_changes:
        return present
    raise UsageError(
        f"{path} changed since run {run_root.name} began",
        hint=_accepting(run_root),
        code="MS307",
    )


def _accepting(run_root: Path) -> str:
    command = f"matterstack resume {run_root.name} --accept-recipe-change"
    return f"run the changed steps again with '{command}', or start afresh with 'matterstack run --new'"


def _settle(
    database: Database, context: Context, reporter: Reporter, status: RunState, step: str, caught: list[signal.Signals]
) -> Outcome:
    """Record how the run ended and say so."""
    reason = f"interrupted by {caught[0].name}" if caught else _reason(database, step)
    params = {"run_root": str(database.run_root), "status": status, "reason": f"{step}: {reason}" if step else reason}
    happen("run.settled", params)
    reporter.tell(RunSettled(run_id=database.run_root.name, run_root=database.run_root, status=status, reason=reason))
    exit_status = {RunState.COMPLETED: 0, RunState.FAILED: 1}.get(status) if not caught else 128 + caught[0]
    return Outcome(
        run_root=database.run_root,
        status=status,
        reason=reason,
        step=step,
        context=context,
        exit_status=1 if exit_status is None else exit_status,
    )


def _reason(database: Database, step: str) -> str:
    row = database.one("SELECT status_reason FROM tasks WHERE task_id = ?", (step,))
    return row[0] if row else ""


def _names(plan: Plan, run_root: Path, rows: tuple[TaskRow, ...]) -> dict[str, JsonValue]:
    """Give what expressions can name besides the context."""
    return {
        "inputs": dict(plan.inputs),
        "vars": dict(plan.recipe.vars),
        "secrets": {},
        "env": dict(os.environ),
        "steps": {row.task_id: {"status": row.status.value} for row in rows if row.status in ENDED_TASKS},
        "run": {"id": run_root.name, "root": str(run_root)},
        "recipe": {"name": Path(plan.source.name).name, "path": plan.source.name},
        "fixtures": {},
    }


def _beginning(database: Database, plan: Plan, rows: tuple[TaskRow, ...]) -> RunBegun:
    return RunBegun(
        run_id=database.run_root.name,
        run_root=database.run_root,
        recipe_name=Path(plan.source.name).name,
        test_id=plan.test_id,
        task_ids=tuple(task.task_id for task in plan.tasks),
        done_before=sum(row.status in ENDED_TASKS for row in rows),
    )


@contextmanager
def _stopping_on_signals(driver: Driver, *, enabled: bool) -> Iterator[list[signal.Signals]]:
    """Stop the driver on SIGINT, SIGTERM and SIGHUP; a second one kills what runs. Gives the signals that came."""
    caught: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        caught.append(signal.Signals(number))
        driver.stop(kill=len(caught) > 1)

    if not enabled or threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _return_to(directory: str) -> None:
    """Go back to the directory in which the run was started, where its steps find their relative paths."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise InfrastructureError(
            f"the run was started in {directory}, which cannot be entered: {(error.strerror or '').lower()}",
            hint="make the directory available, or start a new run",
        ) from error


def _refuse_network(run_root: Path, *, allowed: bool) -> None:
    if not allowed and is_network_path(run_root):
        raise InfrastructureError(
            f"{run_root} lies on a file system shared over a network",
            hint="choose a local --workspaces-dir, or add --allow-network-fs (slower, safe for one host at a time)",
            code="MS505",
        )
