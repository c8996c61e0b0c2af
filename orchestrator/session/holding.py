"""Hold a run, so that no other runner drives it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.context import Context
from orchestrator.progress import LogMissing, Reporter, Silence
from orchestrator.session.options import DriveOptions
from orchestrator.session.outcome import EXIT_STATUSES, Outcome, outcome_of, settled
from orchestrator.session.taking_over import check_history, take_wiring
from orchestrator.store.contexts import read_context
from orchestrator.store.database import Database, close_opened, opened
from orchestrator.store.events import append_event
from orchestrator.store.leases import lost_log, take
from orchestrator.store.queries import read_run


def deliver_ended(run_root: Path, options: DriveOptions) -> Outcome:
    """Deliver what an ended run came to, whose runner died before it could; errors as in `drive_run`."""
    with held(run_root, takeover=options.takeover) as database:
        row, context = read_run(database), Context()
        context.apply(read_context(database))
        step, found, reason = row.status_reason.partition(": ")
        step, reason = step if found else "", reason or row.status_reason
        outcome = outcome_of(database, context, row.status, step, reason, exit_status=EXIT_STATUSES[row.status])
        options.reporter.tell(settled(outcome))
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
            check_history(database)
            if log_missing:
                note_lost_log(database, Silence())
            yield database
        finally:
            lease.release()
    finally:
        close_opened(run_root)


def keep_wiring(run_root: Path, options: DriveOptions) -> None:
    """Write the copies of the wiring of a run that nobody has driven yet."""
    with held(run_root) as database:
        take_wiring(database, options)


def note_lost_log(database: Database, reporter: Reporter) -> None:
    """Leave a trace of what somebody removed: what is left is whole, but steps may run a second time."""
    with database.transaction():
        append_event(database, "state.log_missing", {"run_id": database.run_root.name})
    reporter.tell(LogMissing(run_id=database.run_root.name))
