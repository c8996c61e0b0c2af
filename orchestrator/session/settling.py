"""Record how the drive of a run ended, and say so."""

from __future__ import annotations

import dataclasses
import signal

from orchestrator.context import Change, Context
from orchestrator.driver import Driver, Ending
from orchestrator.invoke import happen
from orchestrator.jsonsafe import dumps
from orchestrator.progress import Reporter, RunSettled
from orchestrator.session.outcome import EXIT_STATUSES, PAUSED_STATUS, TIMED_OUT_STATUS, Outcome, outcome_of, settled
from orchestrator.states import RunState
from orchestrator.store.database import Database
from orchestrator.store.requests import Wish
from orchestrator.store.runs import OUTPUTS_KEY


def settle(
    database: Database, driver: Driver, context: Context, reporter: Reporter, caught: list[signal.Signals], end: Ending
) -> Outcome:
    """Record how the run ended and say so; ``caught`` are the signals that came meanwhile."""
    end = _as_asked(end, driver)
    reason = end.reason or _why(database, end, caught)
    params = {
        "run_root": str(database.run_root),
        "status": end.status,
        "reason": f"{end.step}: {reason}" if end.step and not end.is_pause else reason,
        "outputs": end.outputs,
    }
    happen("run.settled", params)
    if end.outputs:
        context.apply([Change(OUTPUTS_KEY, dumps(end.outputs), "")])
    exit_status = _exit_status(end, caught, has_expired=driver.has_expired)
    outcome = outcome_of(database, context, end.status, end.step, reason, exit_status=exit_status)
    reporter.tell(_told(outcome, end, driver))
    return outcome


def _exit_status(end: Ending, caught: list[signal.Signals], *, has_expired: bool) -> int:
    if end.is_pause:
        return PAUSED_STATUS
    if has_expired and end.status is RunState.FAILED:
        return TIMED_OUT_STATUS
    return EXIT_STATUSES.get(end.status, 128 + (caught[0] if caught else signal.SIGINT))


def _told(outcome: Outcome, end: Ending, driver: Driver) -> RunSettled:
    return dataclasses.replace(
        settled(outcome),
        problem=end.problem,
        paused_at=end.step if end.is_pause and not end.waits_for else "",
        waits_for=end.waits_for,
        questions=tuple(one.task_id for one in driver.left_behind if one.is_question),
        goes_on=tuple(one.task_id for one in driver.left_behind if not one.is_question),
        has_last_to_do=driver.has_last_to_do,
    )


def _as_asked(end: Ending, driver: Driver) -> Ending:
    """Give what somebody asked for as the end of a run that was stopped, or did not go on, for that reason.

    A run is not cancelled while operators go on with something of it.
    """
    asked = driver.asked
    if asked is None or end.status is not RunState.PENDING or end.waits_for:
        return end
    if asked.wish is Wish.CANCEL:
        return end if driver.left_behind else Ending(status=RunState.CANCELLED, reason=asked.told)
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
