"""Hold one run while it is driven: its lease, its worker processes, the signals that stop it, and its end."""

from __future__ import annotations

import dataclasses
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from orchestrator.context import Change, Context
from orchestrator.driver import Driver, Ending, Means
from orchestrator.engine import Board
from orchestrator.errors import RunLockedError, StoreError, UsageError
from orchestrator.files import replace_file, sweep_temporaries
from orchestrator.frames import nodes_of
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.nodes import Phase
from orchestrator.older_runs import start_of
from orchestrator.operators.crew import Crew
from orchestrator.plan import Plan, PlannedTask
from orchestrator.progress import CampaignLeftOut, LogMissing, Reporter, RunBegun, RunSettled, Silence
from orchestrator.reach import has_last, lists_of, reached_from
from orchestrator.recall import recall, withheld
from orchestrator.reuse import Reuse
from orchestrator.secrecy import HandedOn, Masker, handing_on, read_secrets
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.audit import history_fault
from orchestrator.store.cache import ResultCache
from orchestrator.store.contexts import read_context
from orchestrator.store.database import Database, close_opened, opened
from orchestrator.store.events import append_event
from orchestrator.store.leases import lost_log, take
from orchestrator.store.queries import (
    AttemptRow,
    Items,
    RunRow,
    TaskRow,
    count_failures,
    has_recipe,
    lacks_campaign,
    read_inputs,
    read_open_attempts,
    read_run,
    read_tasks,
)
from orchestrator.store.reopening import run_again, with_all_below
from orchestrator.store.requests import Inbox, Request, Wish, open_requests
from orchestrator.store.runs import (
    OUTPUTS_KEY,
    put_inputs,
    redefine_tasks,
    reset_tasks,
    set_run_state,
)
from orchestrator.wiring.options import WiringOptions
from orchestrator.wiring.snapshot import FOLDER
from orchestrator.workers.pool import WorkerPool

if TYPE_CHECKING:
    from orchestrator.operators.assignments import Operator
    from orchestrator.stubs import Stubs
    from orchestrator.wiring.reading import Wired

TIMED_OUT_STATUS = 124
PAUSED_STATUS = 5
_EXIT_STATUSES = {
    RunState.COMPLETED: 0,
    RunState.FAILED: 1,
    RunState.CANCELLED: 1,
    RunState.PAUSED: PAUSED_STATUS,
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to; ``step`` is the first task whose failure counted."""

    run_root: Path
    status: RunState
    reason: str
    step: str
    context: Context
    exit_status: int
    is_stubbed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the one line that `run` prints."""
        keys = [key for key in self.context if not key.startswith("_")]
        place: dict[str, Any] = {"run_id": self.run_root.name, "run_root": str(self.run_root)}
        if self.is_stubbed:
            place["stubbed"] = True
        if self.status is RunState.COMPLETED:
            outputs = {"outputs": self.context.get(OUTPUTS_KEY)} if OUTPUTS_KEY in self.context else {}
            return {"status": "ok", "ctx_keys": keys, **outputs, **place}
        failure = {"reason": self.reason, "exit_code": self.exit_status, "step": self.step}
        return {"status": "error", **failure, "ctx_keys": keys, **place}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveOptions:
    """How to drive a run, whichever run it is.

    ``inline`` runs Python steps in this process, one at a time; ``jobs`` is how many steps may run at once;
    ``use_cache`` takes over former results and keeps new ones;
    ``takeover`` drives a run whose other host is dead;
    ``fixtures`` are the values of a test's fixtures; ``break_at`` names the tasks before which the run pauses;
    ``stubs`` answer for the steps that they are for;
    ``accept_changes`` runs steps again whose recipe or scriptlet changed; ``resumes`` goes on with a paused run too;
    ``deliver`` takes what the run came to, and until it has, the run is not let go.
    """

    inline: bool = False
    jobs: int | None = None
    use_cache: bool = True
    fail_fast: bool = True
    takeover: bool = False
    accept_changes: bool = False
    resumes: bool = False
    handle_signals: bool = True
    fixtures: Mapping[str, JsonValue] = field(default_factory=dict)
    break_at: tuple[str, ...] = ()
    stubs: Stubs | None = None
    asked: WiringOptions = field(default_factory=WiringOptions)
    wiring: Mapping[str, Any] | None = None
    once: bool = False
    reporter: Reporter = field(default_factory=Silence)
    deliver: Callable[[Outcome], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Tasks that are to be run again in a run.

    With ``recursive`` also those that depend on them; ``with_items`` means all items of those that fanned out, and
    ``force`` ends the questions that are open.
    """

    task_ids: tuple[str, ...]
    reason: str
    recursive: bool = False
    with_items: bool = False
    force: bool = False


def drive_run(run_root: Path, plan: Plan, options: DriveOptions, again: Again | None = None) -> Outcome:
    """Take the lease of a run, settle what an earlier runner left, and drive it as far as it goes.

    Raises `RunLockedError` when another runner drives it, `UsageError` (MS307) when a step changed since it began,
    and `StoreError` when its records do not hold.
    """
    database = opened(run_root)
    context = Context()
    jobs = 1 if options.inline else options.jobs or plan.max_parallel
    declared = {name: recipe.secrets for name, recipe in plan.recipes.items()}
    secrets = {name: read_secrets(recipe) for name, recipe in declared.items()}
    masker = Masker([value for values in secrets.values() for value in values.values()])
    if masker.is_needed:
        _leave_no_core()
    pool = WorkerPool(context, size=jobs, folders=[str(plan.project.root)], withheld=withheld(plan))
    try:
        log_missing = lost_log(database)
        lease = take(database, takeover=options.takeover)
        try:
            # A run whose results are probably all kept needs no workers; where it does, they are started then.
            if not options.inline and not all(task.cache and options.use_cache for task in plan.tasks):
                pool.warm()
            _take_over(database, plan, options, again)
            if log_missing:
                _note_lost_log(database, options.reporter)
            with handing_on(declared, secrets) as handed_on:
                outcome = _driven(database, plan, options, context, pool, again, handed_on, masker)
            options.deliver(outcome)
            return outcome
        finally:
            lease.release()
    finally:
        pool.close()
        close_opened(run_root)


def deliver_ended(run_root: Path, options: DriveOptions) -> Outcome:
    """Deliver what an ended run came to, whose runner died before it could; errors as in `drive_run`."""
    with held(run_root, takeover=options.takeover) as database:
        row, context = read_run(database), Context()
        context.apply(read_context(database))
        step, found, reason = row.status_reason.partition(": ")
        outcome = _outcome(database, context, row.status, step if found else "", reason or row.status_reason)
        options.reporter.tell(_settled(outcome))
        options.deliver(outcome)
        return outcome


@contextmanager
def held(run_root: Path, *, takeover: bool = False) -> Iterator[Database]:
    """Keep all runners away from a run whose records hold while they are changed; errors as in `drive_run`."""
    database = opened(run_root)
    try:
        log_missing = lost_log(database)
        lease = take(database, takeover=takeover)
        try:
            _check_history(database)
            if log_missing:
                _note_lost_log(database, Silence())
            yield database
        finally:
            lease.release()
    finally:
        close_opened(run_root)


def keep_wiring(run_root: Path, options: DriveOptions) -> None:
    """Write the copies of the wiring of a run that nobody has driven yet."""
    with held(run_root) as database:
        _take_wiring(database, options)


def _driven(
    database: Database,
    plan: Plan,
    options: DriveOptions,
    context: Context,
    pool: WorkerPool,
    again: Again | None,
    handed_on: HandedOn,
    masker: Masker,
) -> Outcome:
    rows = read_tasks(database)
    wiring = _wiring(plan, database)
    root, tasks = recall(database, plan, rows, handed_on.secrets, context=context, fixtures=options.fixtures)
    board = Board(
        nodes_of(tasks),
        [row.status for row in rows],
        fail_fast=options.fail_fast,
        again=again is not None,
        in_rounds=plan.recipe.repeat is not None,
        limits=wiring.limits,
    )
    board.recall_failures(count_failures(database))
    anew = frozenset(again.task_ids) if again and again.with_items else frozenset[str]()
    cache = ResultCache(_workspaces(database)) if options.use_cache else None
    reuse = Reuse(plan, database.run_root.name, cache=cache, masker=masker, handed_on=handed_on, anew=anew)
    means = Means(
        pool=pool,
        reuse=reuse,
        secrets=handed_on.secrets,
        stubs=options.stubs,
        masker=masker,
        reporter=options.reporter,
        inline=options.inline,
        crew=Crew(wiring.operator, pool.wake, has_threads=not options.once),
        operators=wiring.operators,
        inbox=Inbox(database),
    )
    driver = Driver(
        plan, database, root=root, tasks=tasks, board=board, means=means, break_at=options.break_at, once=options.once
    )
    options.reporter.tell(_beginning(database, plan, rows))
    try:
        with _stopping_on_signals(driver, enabled=options.handle_signals) as caught:
            end = driver.drive()
    finally:
        means.crew.close()
    reuse.close()
    return _settle(database, driver, context, options.reporter, caught, end)


def _take_over(database: Database, plan: Plan, options: DriveOptions, again: Again | None) -> None:
    """Refuse records and a wiring that do not hold before anything is changed, then settle what is open."""
    run = read_run(database)
    if run.status in ENDED_RUNS and again is None:
        raise RunLockedError(
            f"run {run.run_id} was brought to its end by another runner", hint="see 'matterstack status'"
        )
    _check_history(database)
    _check_willing(database, run, options, again)
    _take_wiring(database, options)
    _settle_earlier(database, plan, again, accept_changes=options.accept_changes)
    if lacks_campaign(database):
        options.reporter.tell(CampaignLeftOut(run_id=run.run_id))


def _take_wiring(database: Database, options: DriveOptions) -> None:
    asked = options.asked
    params = {"wiring": options.wiring, "provenance": asked.provenance(), "force": asked.force_override}
    happen("run.taken", {"run_root": str(database.run_root), **params})


def _check_willing(database: Database, run: RunRow, options: DriveOptions, again: Again | None) -> None:
    """Refuse a run that somebody paused or cancelled; whoever resumes one takes back that it is to pause."""
    if run.status is RunState.CANCELLED and again:
        raise UsageError(f"run {run.run_id} was cancelled", hint=f"first: matterstack revive {run.run_id}")
    wishes = {request.wish for request in open_requests(database)}
    is_paused = run.status is RunState.PAUSED
    if options.resumes and (is_paused or Wish.PAUSE in wishes):
        happen("run.asked", {"run_root": str(database.run_root), "request": Wish.RESUME})
    elif is_paused and Wish.CANCEL not in wishes:
        raise UsageError(
            f"run {run.run_id} is {run.status_reason or 'paused'}", hint=f"go on with: matterstack resume {run.run_id}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wiring:
    """What operator keys mean in a run, how many attempts each may have at once, and what makes its operator."""

    operators: Mapping[str, Wired] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()

    def operator(self, operator_key: str) -> Operator:
        from orchestrator.operators.registry import operator_for  # noqa: PLC0415  as below

        return operator_for(self.operators[operator_key], self.withheld)


def _wiring(plan: Plan, database: Database) -> _Wiring:
    """Give the wiring of a run; nothing where no step is routed."""
    if not plan.is_routed:
        return _Wiring()
    from orchestrator.operators.registry import limits_of, wiring_of  # noqa: PLC0415  slow, and few runs need it

    wiring = wiring_of(database)
    return _Wiring(operators=wiring.operators, limits=limits_of(wiring), withheld=withheld(plan))


def _leave_no_core() -> None:
    """Let no process of this run leave an image of its memory, in which secrets stand."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _workspaces(database: Database) -> Path:
    """Give the root of all workspaces, above the folders of this run's."""
    depth = read_run(database).workspace_slug.count("/")
    return database.run_root.parents[2 + depth]


def _check_history(database: Database) -> None:
    """Remove what interrupted writes left, and refuse records that do not hold."""
    for folder in (database.run_root, database.run_root.parent, database.run_root / FOLDER):
        sweep_temporaries(folder)
    if fault := history_fault(database):
        raise StoreError(
            f"{database.path} was changed from outside: {fault}", hint="restore a backup, or start a new run"
        )


def _settle_earlier(database: Database, plan: Plan, again: Again | None, *, accept_changes: bool) -> None:
    """Refuse or take over changed steps, and give back the tasks of attempts that never ended."""
    _inherit(database, plan)
    _take_over_changes(database, plan, accept_changes=accept_changes)
    orphans = [row for row in read_open_attempts(database) if not row.is_external]
    with database.transaction():
        if read_run(database).status is not RunState.PENDING or orphans:
            append_event(database, "run.resumed", {"orphans": [orphan.attempt_id for orphan in orphans]})
        if again:
            _do_again(database, plan, again)
        _reset_last_phases(database, plan)
        lose(database, orphans)
        set_run_state(database, RunState.RUNNING)


def lose(database: Database, orphans: Iterable[AttemptRow]) -> None:
    """Record that the runner of attempts died with them, and give their tasks back."""
    lost = {"status": AttemptState.LOST, "task_status": TaskState.PENDING, "outcome": "runner died"}
    for orphan in orphans:
        which = {"task_id": orphan.task_id, "attempt_id": orphan.attempt_id}
        happen("attempt.exited", {"run_root": str(database.run_root), **which, **lost})


def _inherit(database: Database, plan: Plan) -> None:
    """Let a run of MatterStack 0.2.x go by the recipe that was made of its records, from when it first goes on."""
    if has_recipe(database):
        return
    params = {
        "recipe_text": plan.source.text,
        "inputs": start_of(database, plan.source),
        "definitions": {task.task_id: task.definition_sha256 for task in plan.tasks},
        "allowed": [task.task_id for task in plan.tasks if task.node.allow_failure],
    }
    happen("run.inherited", {"run_root": str(database.run_root), **params})


def _do_again(database: Database, plan: Plan, again: Again) -> None:
    """Make tasks pending; a fan-out of which items are to run is reopened, and ends when these have."""
    rows = read_tasks(database)
    chosen = {row.position for row in rows if row.task_id in again.task_ids}
    if again.recursive:
        chosen |= reached_from(plan, rows, chosen)
    if again.with_items:
        for position in tuple(chosen):
            chosen |= with_all_below(rows, position)
    _close_open(database, {rows[position].task_id for position in chosen}, again)
    set_run_state(database, RunState.PENDING, again.reason)
    run_again(database, rows, chosen, again.reason)


def _close_open(database: Database, names: AbstractSet[str], again: Again) -> None:
    """End what operators have of tasks that run again; unless that is forced, such a task is refused."""
    for attempt in read_open_attempts(database):
        if attempt.task_id not in names or not attempt.is_external:
            continue
        if not again.force:
            is_question = attempt.status is AttemptState.WAITING_EXTERNAL
            what, first = ("waits for an answer", "answer it") if is_question else ("is under way", "let it end")
            hint = f"{first}, or end it with --force; see: matterstack explain {database.run_root.name}"
            raise UsageError(f"{attempt.task_id} {what}", hint=hint)
        _end_open(database, attempt, again.reason)


def _end_open(database: Database, attempt: AttemptRow, reason: str) -> None:
    """End an attempt that an operator has, and make its task pending: an answer to it counts no more."""
    which = {"run_root": str(database.run_root), "task_id": attempt.task_id, "attempt_id": attempt.attempt_id}
    happen("attempt.unwanted", {**which, "fault": reason})
    ended = {"status": AttemptState.CANCELLED, "task_status": TaskState.PENDING, "outcome": reason}
    happen("attempt.exited", {**which, **ended, "collected": None})


def _reset_last_phases(database: Database, plan: Plan) -> None:
    """Let what an interrupted run, or a recipe used in it, did last be done again, since the steps before it go on."""
    if not has_last(plan.tasks):
        return
    rows = read_tasks(database)
    lists = lists_of(plan, rows)
    going_on = {of for of, phase, row in lists if phase is Phase.STEPS and row.status not in ENDED_TASKS}
    again = {
        row.position
        for of, phase, row in lists
        if of in going_on and phase is not Phase.STEPS and row.status in ENDED_TASKS
    }
    again |= {row.position for row in rows if row.parent in again}
    groups = again & {row.parent for row in rows}
    if again:
        pending, reopened = ([rows[position].task_id for position in sorted(part)] for part in (again - groups, groups))
        reset_tasks(database, pending, reopened, "the run goes on")


def _note_lost_log(database: Database, reporter: Reporter) -> None:
    """Leave a trace of what somebody removed: what is left is whole, but steps may run a second time."""
    with database.transaction():
        append_event(database, "state.log_missing", {"run_id": database.run_root.name})
    reporter.tell(LogMissing(run_id=database.run_root.name))


def _take_over_changes(database: Database, plan: Plan, *, accept_changes: bool) -> None:
    """Compare the definitions of the tasks with those the run was started with."""
    steps = (row for row in read_tasks(database, items=Items.NONE) if row.parent is None)
    planned = [row for row in steps if row.task_id == row.step]
    if [row.task_id for row in planned] != [task.task_id for task in plan.tasks]:
        raise UsageError("the recipe's list of steps changed since the run began", hint="start a new run", code="MS307")
    pairs = zip(planned, plan.tasks, strict=True)
    changed = {task.task_id: task for row, task in pairs if row.definition_sha256 != task.definition_sha256}
    if changed and not accept_changes:
        raise UsageError(
            f"changed since run {database.run_root.name} began: {', '.join(changed)}",
            hint=how_to_accept(database.run_root),
            code="MS307",
        )
    if changed:
        rows = read_tasks(database)
        below = [row for row in rows if row.parent is not None and rows[row.parent].task_id in changed]
        _refuse_other_parts(rows, below, changed)
        stale = {*changed, *(row.task_id for row in below)}
        with database.transaction():
            for attempt in read_open_attempts(database):
                if attempt.is_external and attempt.task_id in stale:
                    _end_open(database, attempt, "definition changed")
            definitions = {name: task.definition_sha256 for name, task in changed.items()}
            redefine_tasks(database, definitions, [task.task_id for task in plan.tasks if task.left_out])
            expanded = sorted({rows[row.parent].task_id for row in below if row.parent is not None})
            if expanded:
                reset_tasks(database, [row.task_id for row in below], expanded, "definition changed")
            put_inputs(database, {"recipe_sha256": plan.source.sha256})
        replace_file(database.run_root / "recipe.yaml", plan.source.text.encode(), mode=0o644)


def _refuse_other_parts(rows: tuple[TaskRow, ...], below: list[TaskRow], changed: Mapping[str, PlannedTask]) -> None:
    """Refuse a step that was expanded into other tasks than it would be now; those that were stay what they are."""
    for row in below:
        name = rows[row.parent or 0].task_id
        task = changed[name]
        fits = task.fan is not None if row.item_json is not None else task.is_expanded and task.fan is None
        if not fits or any(other.parent == row.position for other in rows):
            message = f"step {name!r} has begun and changed into another kind of step"
            raise UsageError(message, hint="start a new run", code="MS307")
    for name, task in changed.items():
        steps = [row.step for row in below if rows[row.parent or 0].task_id == name]
        if task.sub is not None and task.fan is None and steps and steps != [step.step for step in task.sub.tasks]:
            message = f"the steps of the recipe that {name!r} uses changed since the run began"
            raise UsageError(message, hint="start a new run", code="MS307")


def how_to_accept(run_root: Path) -> str:
    """Say which command goes on with a run whose recipe or scriptlets changed."""
    command = f"matterstack resume {run_root.name} --accept-recipe-change"
    return f"run the changed steps again with '{command}', or start afresh with 'matterstack run --new'"


def _settle(
    database: Database, driver: Driver, context: Context, reporter: Reporter, caught: list[signal.Signals], end: Ending
) -> Outcome:
    """Record how the run ended and say so."""
    end = _as_asked(end, driver.asked)
    status, step = end.status, end.step
    reason = end.reason or _why(database, end, caught)
    params = {
        "run_root": str(database.run_root),
        "status": status,
        "reason": f"{step}: {reason}" if step and not end.is_pause else reason,
        "outputs": end.outputs,
    }
    happen("run.settled", params)
    if end.outputs:
        context.apply([Change(OUTPUTS_KEY, dumps(end.outputs), "")])
    outcome = _outcome(database, context, status, step, reason, caught[0] if caught else signal.SIGINT)
    if driver.has_expired and status is RunState.FAILED:
        outcome = dataclasses.replace(outcome, exit_status=TIMED_OUT_STATUS)
    if end.is_pause:
        outcome = dataclasses.replace(outcome, exit_status=PAUSED_STATUS)
    paused_at = step if end.is_pause and not end.waits_for else ""
    told = dataclasses.replace(
        _settled(outcome),
        problem=end.problem,
        paused_at=paused_at,
        waits_for=end.waits_for,
        questions=tuple(one.task_id for one in driver.left_behind if one.is_question),
        goes_on=tuple(one.task_id for one in driver.left_behind if not one.is_question),
    )
    reporter.tell(told)
    return outcome


def _outcome(
    database: Database,
    context: Context,
    status: RunState,
    step: str,
    reason: str,
    number: signal.Signals = signal.SIGINT,
) -> Outcome:
    return Outcome(
        run_root=database.run_root,
        is_stubbed=bool(read_inputs(database).get("stubs")),
        status=status,
        reason=reason,
        step=step,
        context=context,
        exit_status=_EXIT_STATUSES.get(status, 128 + number),
    )


def _settled(outcome: Outcome) -> RunSettled:
    run_root = outcome.run_root
    return RunSettled(run_id=run_root.name, run_root=run_root, status=outcome.status, reason=outcome.reason)


def _as_asked(end: Ending, asked: Request | None) -> Ending:
    """Give what somebody asked for as the end of a run that was stopped, or did not go on, for that reason."""
    if asked is None or end.status is not RunState.PENDING or end.waits_for:
        return end
    if asked.wish is Wish.CANCEL:
        return Ending(status=RunState.CANCELLED, reason=asked.told)
    return dataclasses.replace(end, status=RunState.PAUSED, step="", reason=asked.told) if end.is_pause else end


def _why(database: Database, end: Ending, caught: list[signal.Signals]) -> str:
    if end.is_pause:
        return f"waiting for {', '.join(end.waits_for)}" if end.waits_for else f"paused before {end.step}"
    return _interruption(caught) if end.status is RunState.PENDING else _reason(database, end.step)


def _interruption(caught: list[signal.Signals]) -> str:
    return f"interrupted by {caught[0].name}" if caught else "interrupted"


def _reason(database: Database, step: str) -> str:
    row = database.one("SELECT status_reason FROM tasks WHERE task_id = ?", (step,))
    return row[0] if row else ""


def _beginning(database: Database, plan: Plan, rows: tuple[TaskRow, ...]) -> RunBegun:
    selected = [pair for pair in zip(rows, plan.tasks, strict=False) if not pair[1].left_out]
    counted = [*(row for row, _ in selected), *rows[len(plan.tasks) :]]
    return RunBegun(
        run_id=database.run_root.name,
        run_root=database.run_root,
        recipe_name=Path(plan.source.name).name,
        test_id=plan.test_id,
        task_ids=tuple(task.task_id for _, task in selected),
        done_before=sum(row.status in ENDED_TASKS for row, _ in selected),
        waiting=tuple(row.task_id for row in counted if row.status not in ENDED_TASKS),
        ended=sum(row.status in ENDED_TASKS for row in counted),
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
