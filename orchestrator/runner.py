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
import os
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.campaign_source import entry_of, read_recipe, settings_of
from orchestrator.context import Context
from orchestrator.errors import (
    InfrastructureError,
    InvalidFileError,
    NothingSelectedError,
    Problem,
    RunLockedError,
    StepFailedError,
    StoreError,
    UsageError,
)
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.keys import did_you_mean
from orchestrator.older_runs import made_source, start_of
from orchestrator.paths import (
    RunPlace,
    located,
    new_run_id,
    portable,
    runs_of_workspace,
    workspace_slug,
    workspaces_root,
)
from orchestrator.plan import (
    STDIN_NAME,
    Plan,
    Selection,
    demands,
    make_plan,
    plan_recipe,
    plan_source,
    refuse_over_budget,
)
from orchestrator.progress import Reporter, RunLeftBehind
from orchestrator.session import Again, DriveOptions, Outcome, deliver_ended, drive_run, how_to_accept, keep_wiring
from orchestrator.sources import Source, read_source
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import is_network_path, reading
from orchestrator.store.finding import failed_runs
from orchestrator.store.leases import is_driven, is_let_go
from orchestrator.store.queries import read_inputs, read_run, read_tasks
from orchestrator.wiring.options import BUILT_IN_KEYS, WiringOptions

if TYPE_CHECKING:
    from orchestrator.stubs import Stubs

FAILED_LAST = "status:failed@last"
LAST_FAILED = "status:failed@last-failed"
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
    if not request.fresh and (waiting := _interrupted_run(beginning.workspace, beginning.started_with)):
        try:
            return continue_run(waiting, options)
        except RunLockedError:  # that run is being driven: what was asked for is another one
            options.reporter.tell(RunLeftBehind(run_id=waiting.name, status="", is_driven=True))
    elif not request.fresh:
        _tell_of_unfinished(beginning.workspace, options.reporter)
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
        selection = _with_failed(request.selection, workspaces / slug)
        plan = make_plan(plan.loaded, plan.project, request.inputs, selection)
    _check_budget(plan)
    _check_breaks(plan, request.options)
    options = dataclasses.replace(
        request.options,
        stubs=_stubs(plan, request.stubs),
        wiring=_wiring(request.options.asked, workspaces / slug),
    )
    _check_routing(plan, options.wiring)
    _check_people(plan, options.wiring)
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
        hint = f"see: matterstack explain {run_root.name}"
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
    plan = _plan_again(
        run_root, inputs, lambda: _resumed_source(run_root, inputs, accept_changes=options.accept_changes)
    )
    _check_budget(plan)
    return _drive(run_root, plan, inputs, options, again)


def _drive(
    run_root: Path, plan: Plan, inputs: Mapping[str, Any], options: DriveOptions, again: Again | None = None
) -> Outcome:
    """Drive a run by a plan, in the way in which it was begun."""
    _check_breaks(plan, options)
    fail_fast = options.fail_fast and not inputs.get("keep_going", False)
    stubs = _kept_stubs(inputs.get("stubs", {}))
    _check_routing(plan, options.wiring)
    _check_people(plan, options.wiring, run_root)
    return drive_run(run_root, plan, dataclasses.replace(options, fail_fast=fail_fast, stubs=stubs), again)


def _wired(run_root: Path, inputs: Mapping[str, Any], options: DriveOptions) -> DriveOptions:
    """Settle the wiring in the directory of the command, where the paths that it was given begin."""
    wiring = _wiring(options.asked, run_root.parent.parent, run_root if "wiring" in inputs else None)
    return dataclasses.replace(options, wiring=wiring)


def _check_budget(plan: Plan) -> None:
    if plan.recipe.budget:
        refuse_over_budget(plan.loaded, demands(plan))


def _check_routing(plan: Plan, wiring: Mapping[str, Any] | None) -> None:
    """Refuse steps that are routed to operators which the wiring in force does not have."""
    known = wiring["operators"] if wiring else BUILT_IN_KEYS
    where = f"in {wiring['resolved_path'] or wiring['source']}" if wiring else "where nobody wired anything"
    idle = wiring["idle"] if wiring else {}
    how = "" if wiring else "say what it means in operators.yaml of the workspace, or with --operators-config"
    problems = [
        Problem("MS214", f"there is no operator {key!r} {where}", place, how or did_you_mean(key, known))
        for key, place in plan.operator_keys.items()
        if key not in known
    ] + [
        Problem("MS208", f"{key!r} is wired to {idle[key]!r}, which is not executed yet", place, "wire another backend")
        for key, place in plan.operator_keys.items()
        if key in idle
    ]
    if problems:
        raise InvalidFileError(problems)


def _check_people(plan: Plan, wiring: Mapping[str, Any] | None, run_root: Path | None = None) -> None:
    """Refuse questions that nobody could answer, or, of a run that is not there yet, that could not be posted."""
    if wiring and any(key in wiring["people"] for key in plan.operator_keys):
        from orchestrator.operators.quorum import check_postings, check_quorum  # noqa: PLC0415  few runs need it

        check_quorum(plan, wiring, run_root)
        if run_root is None:
            check_postings(plan, wiring)


def _wiring(asked: WiringOptions, workspace: Path, run_root: Path | None = None) -> dict[str, Any] | None:
    """Give the wiring in force where anybody wired anything, or the run has kept one."""
    if run_root is None and not asked.is_wired(workspace):
        return None
    params = {"workspace": str(workspace), "run_root": str(run_root) if run_root else None, **asked.to_params()}
    found: dict[str, Any] = happen("run.planned", params)["_wiring.resolved_v1"]
    return found


def plan_as_started(run_root: Path) -> Plan:
    """Go to the directory of a run and plan the recipe that was kept with it, with the files as they are now."""
    inputs = read_start(run_root)
    return _plan_again(run_root, inputs, lambda: _kept_source(run_root, inputs))


def read_start(run_root: Path) -> dict[str, Any]:
    """Give what a run was started with; raise `UsageError` (MS506) where no recipe can be made of an older one."""
    with reading(run_root) as database:
        source = made_source(database)
        return {**read_inputs(database), **(start_of(database, source) if source else {})}


def _plan_again(run_root: Path, inputs: Mapping[str, Any], source: Callable[[], Source]) -> Plan:
    _return_to(located(inputs["working_directory"], run_root.parent))
    selection = Selection(**{name: tuple(names) for name, names in inputs["selection"].items()})
    return plan_source(source(), located(inputs["recipe_folder"], run_root.parent), inputs["inputs"], selection)


def _kept_source(run_root: Path, inputs: Mapping[str, Any]) -> Source:
    with reading(run_root) as database:
        if source := made_source(database):
            return source
    path = located(inputs["recipe_path"], run_root.parent)
    name = STDIN_NAME if inputs["recipe_path"] == "-" else str(path)
    return Source.from_text(name, (run_root / "recipe.yaml").read_text(encoding="utf-8"))


def _stubs(plan: Plan, path: Path | None) -> Stubs | None:
    if path is None:
        return None
    from orchestrator.stubs import read_stubs  # noqa: PLC0415  few runs have any

    return read_stubs(read_source(path), plan.step_ids)


def _kept_stubs(kept: Mapping[str, JsonValue]) -> Stubs | None:
    if not kept:
        return None
    from orchestrator.stubs import Stubs  # noqa: PLC0415  few runs have any

    return Stubs.from_json(kept)


def _check_breaks(plan: Plan, options: DriveOptions) -> None:
    """Refuse to pause before a step that there is not; parts of a group need not be there yet."""
    steps = [task.step for task in plan.tasks]
    for name in options.break_at:
        first = re.split(r"[\[/@]", name)[0]
        if first not in steps:
            raise UsageError(f"--break-at: the recipe has no step {first!r}", hint=did_you_mean(first, steps))


def _file_name(recipe: str) -> str:
    """Give the recipe's file name; one from standard input has a name all the same."""
    return "stdin.yaml" if recipe == "-" else Path(recipe).name


def _with_failed(selection: Selection, workspace: Path) -> Selection:
    """Put the steps that failed in an earlier run in the place of the word that stands for them."""
    word = _failed_word(selection)
    if not word:
        return selection
    last = _earlier_run(selection, workspace)
    if last is None:
        raise UsageError(f"--only {word}: there is no earlier run that it names", hint="run the recipe first")
    with reading(last) as database:
        failed = [row.step for row in read_tasks(database) if row.status in (TaskState.FAILED, TaskState.BLOCKED)]
    if not failed:
        raise NothingSelectedError(f"--only {word}: nothing failed in run {last.name}", hint="leave it out")
    others = tuple(name for name in selection.only if name != word)
    return dataclasses.replace(selection, only=(*dict.fromkeys((*others, *failed)),))


def _failed_word(selection: Selection) -> str:
    """Give the word of a selection that stands for what failed in an earlier run; none is ''."""
    return next((word for word in (FAILED_LAST, LAST_FAILED) if word in selection.only), "")


def _earlier_run(selection: Selection, workspace: Path) -> Path | None:
    """Give the run of a workspace that a selection goes by: the last one, or the last one that failed."""
    runs = runs_of_workspace(workspace)
    return next(iter(failed_runs(runs) if LAST_FAILED in selection.only else runs), None)


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


def _interrupted_run(workspace: Path, started_with: Mapping[str, Any]) -> Path | None:
    """Find the newest run of a workspace that was started the same way and has not ended, or not told its end."""
    for root in runs_of_workspace(workspace):
        with suppress(StoreError), reading(root) as database:
            status = read_run(database).status
            is_waiting = status not in ENDED_RUNS or not is_let_go(database)
            if is_waiting and status is not RunState.PAUSED and started_with.items() <= read_inputs(database).items():
                return root
    return None


def _tell_of_unfinished(workspace: Path, reporter: Reporter) -> None:
    """Say which run is left behind when another is begun."""
    for root in runs_of_workspace(workspace):
        try:
            with reading(root) as database:
                status: str = read_run(database).status
        except StoreError as error:
            status = error.message
        if status not in ENDED_RUNS:
            reporter.tell(RunLeftBehind(run_id=root.name, status=status))
            return


def _open_run(beginning: _Beginning) -> Path:
    """Record a run that could begin; return its directory."""
    place, plan, request = beginning.place, beginning.plan, beginning.request
    _refuse_network(place.root, allowed=request.allow_network_fs)
    recipe_path = plan.project.recipe_folder / _file_name(request.recipe)
    context = {**_inherited(place, request), **request.context}
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
            "context": context,
            "tasks": [task.to_json() for task in plan.tasks],
            "wiring": request.options.wiring,
            "provenance": request.options.asked.provenance(),
        },
    )
    return place.root


def _inherited(place: RunPlace, request: RunRequest) -> dict[str, JsonValue]:
    """Give the context of the run that a selection goes by, where the start is in the middle of the recipe."""
    option = _inheriting(request.selection)
    if not option or request.context:
        return {}
    last = _earlier_run(request.selection, place.workspaces / place.slug)
    if last is None:
        raise UsageError(
            f"{option}: {place.slug!r} has no earlier run to take values from",
            hint="run the recipe from its beginning, or give --ctx FILE",
        )
    with reading(last) as database:
        return {change.key: change.value for change in read_context(database)}


def _inheriting(selection: Selection) -> str:
    """Give the option for which a run begins with the values of the one before."""
    if word := _failed_word(selection):
        return f"--only {word}"
    return f"--resume-from {selection.resume_from[0]}" if selection.resume_from else ""


def _resumed_source(run_root: Path, inputs: Mapping[str, Any], *, accept_changes: bool) -> Source:
    """Give the recipe as started, or the changed one where that is accepted."""
    path = located(inputs["recipe_path"], run_root.parent)
    if not path.is_file():
        return _kept_source(run_root, inputs)
    present = read_recipe(path)
    if present.sha256 == inputs["recipe_sha256"] or accept_changes:
        return present
    raise UsageError(
        f"{path} changed since run {run_root.name} began",
        hint=how_to_accept(run_root),
        code="MS307",
    )


def _return_to(directory: Path) -> None:
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
