"""Cancel, pause, revive and mend runs, whether or not another process drives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from orchestrator.clock import seconds_between, utc_now
from orchestrator.errors import InvalidFileError, RunLockedError, UsageError
from orchestrator.invoke import happen
from orchestrator.operators.asking import current_user
from orchestrator.progress import Remark, Reporter
from orchestrator.runner import finish_cancelled
from orchestrator.session import DriveOptions, held, lose
from orchestrator.states import ENDED_RUNS, RunState, TaskState
from orchestrator.store.database import Database, close_opened, reading
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import AttemptRow, count_open_last, read_open_attempts, read_run, read_tasks
from orchestrator.store.requests import Wish, open_requests

_LOOK_SEC = 0.1
# Above it, an exit status tells the signal that ended a program.
_BY_SIGNAL = 128


def ask(run_root: Path, wish: Wish, reason: str, attempt_id: str = "") -> None:
    """Record what somebody asks of a run, for whoever drives it or will; raise `UsageError` where it comes too late."""
    params = {"run_root": str(run_root), "request": wish, "reason": reason, "attempt_id": attempt_id}
    try:
        happen("run.asked", params)
    finally:
        close_opened(run_root)


def cancel_run(
    run_root: Path,
    *,
    reason: str = "",
    options: DriveOptions | None = None,
    leaves_out_last: bool = False,
    waits: bool = True,
) -> RunState:
    """Cancel a run and return what it came to: its runner is asked to, or where it has none, it is done here.

    What operators have is ended, and what the recipe does last is done unless ``leaves_out_last``. Without ``waits``,
    a run that is driven is left to its runner; one that is not, and that leaves out what it does last, ends at once:
    what operators have then may go on, which is told. Raises `UsageError` for a run that has ended.
    """
    ask(run_root, Wish.CANCEL, reason)
    return _brought_about(
        run_root,
        ENDED_RUNS,
        lambda: _cancel_here(
            run_root, replace(options or DriveOptions(), leaves_out_last=leaves_out_last), waits=waits
        ),
        waits=waits,
    )


def pause_run(run_root: Path, *, reason: str = "", waits: bool = True) -> RunState:
    """Pause a run and return where it stands then: what runs comes to its end, and nothing more is started.

    Raises `UsageError` for a run that has ended or is paused.
    """
    ask(run_root, Wish.PAUSE, reason)
    return _brought_about(run_root, {*ENDED_RUNS, RunState.PAUSED}, lambda: _pause_here(run_root), waits=waits)


def revive_run(run_root: Path, *, reason: str = "") -> None:
    """Make an ended run pending, with what failed, was blocked or cancelled in it; it is driven by whoever goes on.

    Raises `UsageError` for a run that has not ended, and `RunLockedError` for one that is driven.
    """
    with held(run_root):
        happen("run.revived", {"run_root": str(run_root), "reason": _told("revived", reason)})


def reset_task(run_root: Path, task_id: str, *, action: str, reason: str = "") -> None:
    """Make a task pending again (``reset``), or end it as cancelled (``delete``); its attempts are kept.

    Raises `UsageError` for a task that there is not or that has an open attempt, and `RunLockedError`.
    """
    told = _told({"reset": "reset", "delete": "deleted"}[action], reason)
    with held(run_root):
        happen("task.reset", {"run_root": str(run_root), "task_id": task_id, "action": action, "reason": told})


def cancel_attempt(run_root: Path, prefix: str, *, reason: str = "") -> str:
    """Ask that one open attempt ends, known by the beginning of its id; return its id.

    The runner of the run does it, now or when there is one again; the task then goes on by its rules. Raises
    `UsageError` where no attempt is meant, more than one, or one that has ended.
    """
    with reading(run_root) as database:
        found = [row.attempt_id for row in read_open_attempts(database) if row.attempt_id.startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found)} open attempts whose ids begin with" if found else "no open attempt"
        hint = "give more of the id" if found else f"see: matterstack explain {run_root.name}"
        raise UsageError(f"run {run_root.name} has {what} {prefix!r}", hint=hint)
    ask(run_root, Wish.CANCEL_ATTEMPT, reason, attempt_id=found[0])
    return found[0]


def end_orphans(run_root: Path, *, older_than_sec: float, dry_run: bool = False) -> tuple[AttemptRow, ...]:
    """End attempts as lost that are open for so long though nobody drives the run, and return them.

    Their tasks are pending then, and the run too. What operators have is no orphan: it goes on.
    """
    with reading(run_root) as database:
        if is_driven(run_root) or not _orphans(database, older_than_sec):
            return ()
        if dry_run:
            return _orphans(database, older_than_sec)
    with held(run_root) as database:
        found = _orphans(database, older_than_sec)
        with database.transaction():
            _lose(database, found)
    return found


def _brought_about(run_root: Path, wanted: Collection[RunState], act: Callable[[], None], *, waits: bool) -> RunState:
    """Wait until a run is as wanted; where nobody drives it, act."""
    while (state := _state(run_root)) not in wanted:
        if not is_driven(run_root):
            try:
                act()
            except RunLockedError:  # another runner came first, or one on another host goes on
                if not (is_driven(run_root) or _state(run_root) in wanted):
                    raise
        elif not waits:
            break
        else:
            time.sleep(_LOOK_SEC)
    return state


def _cancel_here(run_root: Path, options: DriveOptions, *, waits: bool) -> None:
    with held(run_root, takeover=options.takeover) as database:
        if _has_nothing_to_end(database, leaves_out_last=options.leaves_out_last):
            _settle(database, RunState.CANCELLED)
            return
        if options.leaves_out_last and not waits:
            _abandon(database, options.reporter)
            return
    try:
        came = finish_cancelled(run_root, options)
    except (UsageError, InvalidFileError) as error:
        if options.leaves_out_last:
            with held(run_root, takeover=options.takeover) as database:
                _abandon(database, options.reporter)
            return
        raise UsageError(
            f"what run {run_root.name} does last cannot be done: {error.message}",
            hint=f"leave it out: matterstack cancel {run_root.name} --force",
        ) from error
    if came.status not in ENDED_RUNS and came.exit_status > _BY_SIGNAL:
        raise KeyboardInterrupt


def _has_nothing_to_end(database: Database, *, leaves_out_last: bool) -> bool:
    """Tell whether a run never began, or nothing of it is under way and it has done what it does last."""
    rows = read_tasks(database)
    if not any(row.attempt_count for row in rows):
        return True
    is_busy = any(row.status in (TaskState.RUNNING, TaskState.WAITING_EXTERNAL) for row in rows)
    return not is_busy and (leaves_out_last or not count_open_last(database))


def _abandon(database: Database, reporter: Reporter) -> None:
    """End a run by its records alone, and say of what operators have that it may go on."""
    left = [row for row in read_open_attempts(database) if row.is_external]
    _settle(database, RunState.CANCELLED)
    for row in left:
        what = f" as {row.external_id}" if row.external_id else ""
        text = f"{row.task_id} was not ended and may go on at {row.operator_key}{what}"
        reporter.tell(Remark(text=text, todo="see there that it ends"))


def _pause_here(run_root: Path) -> None:
    with held(run_root) as database:
        _settle(database, RunState.PAUSED)


def _settle(database: Database, state: RunState) -> None:
    """Record what was asked for as the state of a run that nobody drives."""
    wish = Wish.PAUSE if state is RunState.PAUSED else Wish.CANCEL
    told = next((request.told for request in open_requests(database) if request.wish is wish), "")
    if read_run(database).status not in ENDED_RUNS:
        happen("run.settled", {"run_root": str(database.run_root), "status": state, "reason": told})


def _orphans(database: Database, older_than_sec: float) -> tuple[AttemptRow, ...]:
    now = utc_now()
    found = (row for row in read_open_attempts(database) if not row.is_external)
    return tuple(row for row in found if seconds_between(row.created_at, now) > older_than_sec)


def _lose(database: Database, attempts: Collection[AttemptRow]) -> None:
    lose(database, attempts)
    if read_run(database).status is RunState.RUNNING:
        happen(
            "run.settled", {"run_root": str(database.run_root), "status": RunState.PENDING, "reason": "its runner died"}
        )


def _state(run_root: Path) -> RunState:
    with reading(run_root) as database:
        return read_run(database).status


def _told(done: str, reason: str) -> str:
    return f"{done} by {current_user()}{f': {reason}' if reason else ''}"
