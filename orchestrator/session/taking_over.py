"""Take over a run from its last runner: check its records and settle what is open, before anything goes on."""

from __future__ import annotations

from orchestrator.errors import RunLockedError, StoreError, UsageError
from orchestrator.files import sweep_temporaries
from orchestrator.frames import Parts
from orchestrator.invoke import happen
from orchestrator.nodes import Phase
from orchestrator.older_runs import start_of
from orchestrator.plan import Plan
from orchestrator.progress import CampaignLeftOut, Remark
from orchestrator.reach import has_last, lists_of, reached_from
from orchestrator.session.changes import take_over_changes
from orchestrator.session.open_attempts import Ends, had_by_operators, lose, refuse_unless_forced
from orchestrator.session.options import Again, DriveOptions
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, RunState
from orchestrator.store.audit import history_fault
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from orchestrator.store.queries import (
    RunRow,
    TaskRow,
    has_recipe,
    lacks_campaign,
    read_open_attempts,
    read_run,
    read_tasks,
)
from orchestrator.store.reopening import run_again, with_all_below
from orchestrator.store.requests import Wish, open_requests
from orchestrator.store.runs import reset_tasks, set_run_state
from orchestrator.wiring.options import told_of_change
from orchestrator.wiring.snapshot import FOLDER


def take_over(
    database: Database, plan: Plan, parts: Parts, options: DriveOptions, again: Again | None, end: Ends
) -> None:
    """Refuse records and a wiring that do not hold before anything is changed, then settle what is open.

    ``end`` ends what operators have of tasks that are to run again.
    """
    run = read_run(database)
    if run.status in ENDED_RUNS and again is None:
        raise RunLockedError(
            f"run {run.run_id} was brought to its end by another runner", hint="see 'matterstack status'"
        )
    check_history(database)
    _check_willing(database, run, options, again)
    take_wiring(database, options)
    _inherit(database, plan)
    take_over_changes(database, plan, end, accept_changes=options.accept_changes)
    if again:
        _end_what_runs_again(database, plan, parts, again, end)
    _settle_earlier(database, plan, parts, again)
    if lacks_campaign(database):
        options.reporter.tell(CampaignLeftOut(run_id=run.run_id))


def take_wiring(database: Database, options: DriveOptions) -> None:
    """Settle by which wiring a run goes on, and write the copies of it."""
    asked = options.asked
    params = {"wiring": options.wiring, "provenance": asked.provenance(), "force": asked.force_override}
    happen("run.taken", {"run_root": str(database.run_root), **params})
    if path := (options.wiring or {}).get("changed"):
        text, command = told_of_change(path, database.run_root.name)
        options.reporter.tell(Remark(text=text, todo=f"to go on by the file:  {command}"))


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


def check_history(database: Database) -> None:
    """Remove what interrupted writes left, and refuse records that do not hold."""
    for folder in (database.run_root, database.run_root.parent, database.run_root / FOLDER):
        sweep_temporaries(folder)
    if fault := history_fault(database):
        raise StoreError(
            f"{database.path} was changed from outside: {fault}", hint="restore a backup, or start a new run"
        )


def _end_what_runs_again(database: Database, plan: Plan, parts: Parts, again: Again, end: Ends) -> None:
    """End what operators have of tasks that are to run again; unless that is forced, such a task is refused."""
    if not any(row.is_external for row in read_open_attempts(database)):
        return
    rows = read_tasks(database)
    names = {rows[position].task_id for position in _chosen(rows, plan, parts, again)}
    if attempts := had_by_operators(database, names):
        refuse_unless_forced(attempts[0], again, database.run_root)
        end(attempts, again.reason)


def _settle_earlier(database: Database, plan: Plan, parts: Parts, again: Again | None) -> None:
    """Give back the tasks of attempts that never ended, and of those that are to run again."""
    orphans = [row for row in read_open_attempts(database) if not row.is_external]
    with database.transaction():
        if read_run(database).status is not RunState.PENDING or orphans:
            append_event(database, "run.resumed", {"orphans": [orphan.attempt_id for orphan in orphans]})
        if again:
            _do_again(database, plan, parts, again)
        _reset_last_phases(database, plan, parts)
        lose(database, orphans)
        set_run_state(database, RunState.RUNNING)


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


def _do_again(database: Database, plan: Plan, parts: Parts, again: Again) -> None:
    """Make tasks pending; a fan-out of which items are to run is reopened, and ends when these have."""
    rows = read_tasks(database)
    set_run_state(database, RunState.PENDING, again.reason)
    run_again(database, rows, _chosen(rows, plan, parts, again), again.reason)


def _chosen(rows: tuple[TaskRow, ...], plan: Plan, parts: Parts, again: Again) -> set[int]:
    """Give the positions of the tasks that are to run again."""
    chosen = {row.position for row in rows if row.task_id in again.task_ids}
    if again.recursive:
        chosen |= reached_from(plan, parts, rows, chosen)
    if again.with_items:
        for position in tuple(chosen):
            chosen |= with_all_below(rows, position)
    return chosen


def _reset_last_phases(database: Database, plan: Plan, parts: Parts) -> None:
    """Let what an interrupted run, or a recipe used in it, did last be done again, since the steps before it go on."""
    if not has_last(plan.tasks):
        return
    rows = read_tasks(database)
    lists = lists_of(plan, parts, rows)
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
