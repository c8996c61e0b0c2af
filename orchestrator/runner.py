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

import dataclasses
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.campaign_source import entry_of, settings_of
from orchestrator.context import Context
from orchestrator.earlier import inherited, interrupted_run, tell_of_unfinished, with_failed
from orchestrator.errors import (
    RunLockedError,
    StepFailedError,
    UsageError,
)
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.keys import did_you_mean
from orchestrator.paths import (
    RunPlace,
    new_run_id,
    portable,
    workspace_slug,
    workspaces_root,
)
from orchestrator.plan import (
    Plan,
    Selection,
    make_plan,
    plan_recipe,
    plan_source,
)
from orchestrator.preflight import (
    check_breaks,
    check_budget,
    check_drivers,
    check_imports,
    check_people,
    check_routing,
    refuse_network,
    wiring_in_force,
)
from orchestrator.progress import RunLeftBehind
from orchestrator.session import Again, DriveOptions, Outcome, deliver_ended, drive_run, keep_wiring
from orchestrator.sources import Source, read_source
from orchestrator.starts import kept_stubs, plan_again, plan_as_started, read_start, resumed_source
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.database import reading
from orchestrator.store.leases import is_driven, is_let_go
from orchestrator.store.queries import read_run, read_tasks

if TYPE_CHECKING:
    from orchestrator.stubs import Stubs

ISOLATIONS = ("inline", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run and how; ``recipe`` is a path, or ``-`` for standard input; inputs may be text to be typed.

    With ``source``, ``recipe`` is ``-`` and that is the recipe.

    ``status:failed@last`` among the steps to run stands for those that failed, or were blocked, in the last run,
    and ``status:failed@last-failed`` for those of the last run that failed.
    """

    recipe: str
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    context: Mapping[str, JsonValue] = field(default_factory=dict)
    workspace: str | None = None
    workspaces_dir: Path | None = None
    stubs: Path | None = None
    source: Source | None = None
    fresh: bool = False
    allow_network_fs: bool = False
    options: DriveOptions = field(default_factory=DriveOptions)


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
    if isolation not in ISOLATIONS:
        raise UsageError(f"no isolation {isolation!r}", hint=did_you_mean(isolation, ISOLATIONS))
    request = RunRequest(
        recipe=str(path),
        inputs=inputs or {},
        selection=Selection(only=only, skip=skip),
        workspaces_dir=Path(workspaces_dir) if workspaces_dir else None,
        fresh=True,
        options=DriveOptions(inline=isolation == "inline", handle_signals=False),
    )
    outcome = run(request)
    if outcome.status is RunState.PENDING:
        raise KeyboardInterrupt
    if outcome.status is not RunState.COMPLETED:
        raise StepFailedError(f"{outcome.step}: {outcome.reason}", step=outcome.step, hint=f"see {outcome.run_root}")
    return outcome.context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    """A run that could begin: what it would do, where it would lie, and what would make another run the same."""

    plan: Plan
    place: RunPlace
    request: RunRequest
    started_with: Mapping[str, Any]

    @property
    def workspace(self) -> Path:
        """Give the folder of its workspace."""
        return self.place.root.parent.parent


def run(request: RunRequest) -> Outcome:
    """Run a recipe: go on with an interrupted run of it that was started the same way, or begin a new one."""
    beginning = _planned(request)
    options = beginning.request.options
    if not request.fresh and (waiting := interrupted_run(beginning.workspace, beginning.started_with)):
        try:
            return continue_run(waiting, options)
        except RunLockedError:  # that run is being driven: what was asked for is another one
            options.reporter.tell(RunLeftBehind(run_id=waiting.name, status="", is_driven=True))
    elif not request.fresh:
        tell_of_unfinished(beginning.workspace, options.reporter)
    return drive_run(_open_run(beginning), beginning.plan, options)


def init_run(request: RunRequest) -> Path:
    """Open a run of a recipe with the wiring that it goes by, and drive nothing of it; return its directory."""
    beginning = _planned(request)
    run_root = _open_run(beginning)
    if beginning.request.options.wiring:
        keep_wiring(run_root, beginning.request.options)
    return run_root


def _planned(request: RunRequest) -> _Beginning:
    """Plan a run and settle its wiring; nothing is written."""
    if request.recipe != "-":
        request = dataclasses.replace(request, recipe=str(entry_of(Path(request.recipe))))
    if request.source:
        plan = plan_source(request.source, Path.cwd(), request.inputs)
    else:
        plan = plan_recipe(request.recipe, request.inputs)
    folder = plan.project.recipe_folder
    workspaces = workspaces_root(request.workspaces_dir)
    slug = workspace_slug(folder / _file_name(request.recipe), workspaces, request.workspace or plan.recipe.workspace)
    if request.selection != Selection():
        selection = with_failed(request.selection, workspaces / slug)
        plan = make_plan(plan.loaded, plan.project, request.inputs, selection)
    check_budget(plan)
    check_breaks(plan, request.options)
    options = dataclasses.replace(
        request.options,
        stubs=_stubs(plan, request.stubs),
        wiring=wiring_in_force(request.options.asked, workspaces / slug),
    )
    check_routing(plan, options.wiring)
    check_people(plan, options.wiring)
    if options.stubs is None:
        check_drivers(plan, options.wiring)
        check_imports(plan, options.wiring)
    request = dataclasses.replace(request, options=options)
    return _Beginning(
        plan=plan,
        place=RunPlace(workspaces=workspaces, slug=slug, run_id=new_run_id()),
        request=request,
        started_with=_started_with(plan, folder, request, workspaces / slug / "runs"),
    )


def resume_run(run_root: Path, options: DriveOptions | None = None) -> Outcome:
    """Continue a run that was interrupted or paused; otherwise as `continue_run`."""
    return continue_run(run_root, dataclasses.replace(options or DriveOptions(), resumes=True))


def continue_run(run_root: Path, options: DriveOptions | None = None) -> Outcome:
    """Continue a run that has not ended with the recipe, inputs and directory it was started with.

    A recipe or scriptlet that changed since is refused unless the options accept it; then the changed steps run again.
    Raises `UsageError` for a run that somebody has paused, and for one that has ended.
    """
    run_root, options = run_root.absolute(), options or DriveOptions()
    is_busy = is_driven(run_root)  # asked first, so that a runner that lets go meanwhile is seen one way or the other
    with reading(run_root) as database:
        row, is_delivered = read_run(database), is_let_go(database)
    if row.status in ENDED_RUNS and is_busy:
        raise RunLockedError(f"run {row.run_id} has ended, and its runner says so right now", hint="see its status")
    if row.status in ENDED_RUNS and not is_delivered:
        return deliver_ended(run_root, options)
    if row.status in ENDED_RUNS:
        verb = "retry" if row.status is RunState.FAILED else "revive"
        hint = f"start a new run, or go on after its end with 'matterstack {verb} {row.run_id}'"
        raise UsageError(f"run {row.run_id} is {row.status}; there is nothing to resume", hint=hint)
    return _go_on(run_root, options)


def retry_run(run_root: Path, options: DriveOptions | None = None) -> Outcome:
    """Run what failed in a run once more, and what waited for it; what succeeded is kept."""
    run_root, options = run_root.absolute(), options or DriveOptions()
    with reading(run_root) as database:
        names = [row.task_id for row in read_tasks(database) if row.status in (TaskState.FAILED, TaskState.BLOCKED)]
        status = read_run(database).status
    if not (names or status is RunState.FAILED):  # it may have failed by its outputs, or by its rounds
        way_on = "go on with: matterstack revive" if status is RunState.CANCELLED else "see: matterstack explain"
        hint = f"{way_on} {run_root.name}"
        raise UsageError(f"nothing failed in run {run_root.name}, which is {status}", hint=hint)
    return _go_on(run_root, options, Again(task_ids=tuple(names), reason="retry"))


def rerun_task(
    run_root: Path,
    task_id: str,
    options: DriveOptions | None = None,
    *,
    recursive: bool = False,
    force: bool = False,
) -> Outcome:
    """Run one task of a run once more, whatever came of it; with ``recursive`` also all that depends on it.

    A step that fanned out runs again with the items it had. A task that waits for an answer is refused, unless
    ``force`` ends the question.
    """
    run_root, options = run_root.absolute(), options or DriveOptions()
    with reading(run_root) as database:
        names = [row.task_id for row in read_tasks(database)]
    if task_id not in names:
        raise UsageError(f"run {run_root.name} has no task {task_id!r}", hint=did_you_mean(task_id, names))
    again = Again(task_ids=(task_id,), recursive=recursive, with_items=True, force=force, reason=f"rerun {task_id}")
    return _go_on(run_root, options, again)


def finish_cancelled(run_root: Path, options: DriveOptions) -> Outcome:
    """Do what a run does last that somebody asked to cancel, with the recipe that was kept with it, and settle it."""
    run_root = run_root.absolute()
    inputs = read_start(run_root)
    options = _wired(run_root, inputs, options)
    return _drive(run_root, plan_as_started(run_root), inputs, options)


def _go_on(run_root: Path, options: DriveOptions, again: Again | None = None) -> Outcome:
    """Drive a run from where it is, after what is to be done ``again`` was made pending."""
    inputs = read_start(run_root)
    options = _wired(run_root, inputs, options)
    plan = plan_again(run_root, inputs, lambda: resumed_source(run_root, inputs, accept_changes=options.accept_changes))
    check_budget(plan)
    return _drive(run_root, plan, inputs, options, again)


def _drive(
    run_root: Path, plan: Plan, inputs: Mapping[str, Any], options: DriveOptions, again: Again | None = None
) -> Outcome:
    """Drive a run by a plan, in the way in which it was begun."""
    check_breaks(plan, options)
    fail_fast = options.fail_fast and not inputs.get("keep_going", False)
    stubs = kept_stubs(inputs.get("stubs", {}))
    check_routing(plan, options.wiring)
    check_people(plan, options.wiring, run_root)
    return drive_run(run_root, plan, dataclasses.replace(options, fail_fast=fail_fast, stubs=stubs), again)


def _wired(run_root: Path, inputs: Mapping[str, Any], options: DriveOptions) -> DriveOptions:
    """Settle the wiring in the directory of the command, where the paths that it was given begin."""
    wiring = wiring_in_force(options.asked, run_root.parent.parent, run_root if "wiring" in inputs else None)
    return dataclasses.replace(options, wiring=wiring)


def _stubs(plan: Plan, path: Path | None) -> Stubs | None:
    if path is None:
        return None
    from orchestrator.stubs import read_stubs  # noqa: PLC0415  few runs have any

    return read_stubs(read_source(path), plan.step_ids)


def _file_name(recipe: str) -> str:
    """Give the recipe's file name; one from standard input has a name all the same."""
    return "stdin.yaml" if recipe == "-" else Path(recipe).name


def _started_with(plan: Plan, folder: Path, request: RunRequest, runs: Path) -> dict[str, Any]:
    """Give what makes two runs the same run: recipe, inputs, selection, first values and where the steps work."""
    return {
        "recipe_sha256": plan.source.sha256,
        "recipe_folder": portable(folder, runs, plan.project.root),
        "inputs": dict(request.inputs),
        "selection": plan.selection.to_json(),
        "stubs": request.options.stubs.to_json() if request.options.stubs else {},
        "context_sha256": hashlib.sha256(dumps(dict(request.context), "the context").encode()).hexdigest(),
        "working_directory": portable(Path.cwd(), runs, plan.project.root),
    }


def _open_run(beginning: _Beginning) -> Path:
    """Record a run that could begin; return its directory."""
    place, plan, request = beginning.place, beginning.plan, beginning.request
    refuse_network(place.root, allowed=request.allow_network_fs)
    recipe_path = plan.project.recipe_folder / _file_name(request.recipe)
    context = request.context or inherited(request.selection, beginning.workspace)
    happen(
        "run.new",
        {
            "run_root": str(place.root),
            "workspace_slug": place.slug,
            "recipe_name": _file_name(request.recipe),
            "recipe_text": plan.source.text,
            "config_text": settings_of(beginning.workspace),
            "inputs": {
                **beginning.started_with,
                **plan.recorded,
                "recipe_path": "-"
                if request.recipe == "-"
                else portable(recipe_path, place.root.parent, plan.project.root),
                "keep_going": not request.options.fail_fast,
                "argv": sys.argv,
                "versions": {"matterstack": __version__, "python": platform.python_version()},
            },
            "context": dict(context),
            "tasks": [task.to_json() for task in plan.tasks],
            "wiring": request.options.wiring,
            "provenance": request.options.asked.provenance(),
        },
    )
    return place.root
