"""``matterstack logs RUN [TASK]``: what steps wrote to standard error, and to standard output where it was kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import workspaces_option
from orchestrator.cli.output import harmless
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.paths import workspaces_root
from orchestrator.store.attempt_files import with_files
from orchestrator.store.database import reading, update_legacy
from orchestrator.store.finding import find_run
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import AttemptRow, iterate_ended_attempts, read_tasks

if TYPE_CHECKING:
    from orchestrator.cli.remote_logs import RemoteLogs

_LOOK_SEC = 0.3
# A cluster is asked less often.
_LOOK_AWAY_SEC = 1.0


@click.command("logs")
@click.argument("run", default="@last")
@click.argument("task", required=False)
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Show the N-th attempt at each task only.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on until the run is no longer driven, and nothing of TASK runs on a cluster.",
)
@workspaces_option
def command(
    run: str,
    task: str | None,
    attempt: int | None,
    follow: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> None:
    """Print what the attempts of RUN wrote, in the order in which they ended; of TASK, or what it became, alone.

    With TASK and --follow, what runs on a cluster is shown while it is written there.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir))
    update_legacy(run_root)
    _check_task(run_root, task)
    with ExitStack() as ends:
        remote = _remote_logs(run_root, ends) if follow and task is not None else None
        _go_on(run_root, _Wanted(task=task, attempt=attempt), remote, follow=follow)


def _remote_logs(run_root: Path, ends: ExitStack) -> RemoteLogs:
    from orchestrator.cli.remote_logs import RemoteLogs  # noqa: PLC0415  slow, and few logs are elsewhere

    return ends.enter_context(RemoteLogs(run_root, _show_line))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Whose logs are shown: of a task, or of all; the N-th attempt alone, or all."""

    task: str | None
    attempt: int | None

    def takes(self, row: AttemptRow) -> bool:
        """Tell whether an attempt is wanted, where its task is."""
        return self.attempt in (None, row.attempt_index)


def _go_on(run_root: Path, wanted: _Wanted, remote: RemoteLogs | None, *, follow: bool) -> None:
    """Show what ended, and what is new of what runs on a cluster, until there will be no more."""
    shown = 0
    while True:
        driven = is_driven(run_root)
        has_more = remote.look(lambda row: row.task_id == wanted.task and wanted.takes(row)) if remote else False
        shown = _show_ended(run_root, wanted, remote, after=shown)
        goes_on = remote is not None and remote.goes_on
        if not (follow and (driven or goes_on)):
            return
        if not has_more:
            time.sleep(_LOOK_AWAY_SEC if goes_on else _LOOK_SEC)


def _show_ended(run_root: Path, wanted: _Wanted, remote: RemoteLogs | None, *, after: int) -> int:
    """Show the attempts that ended after an event; give the last one's."""
    with reading(run_root) as database:
        for row, seq in iterate_ended_attempts(database, after=after, task_id=wanted.task):
            after = seq
            if wanted.takes(row) and not (remote and remote.rest(row)):
                _show(with_files(row, run_root), with_name=row.task_id != wanted.task)
    return after


def _show_line(_: AttemptRow, line: str) -> None:
    click.echo(line)


def _check_task(run_root: Path, task: str | None) -> None:
    with reading(run_root) as database:
        known = [row.task_id for row in read_tasks(database)] if task is not None else []
    if task is not None and task not in known:
        raise UsageError(f"run {run_root.name} has no task {task!r}", hint=did_you_mean(task, known))


def _show(row: AttemptRow, *, with_name: bool) -> None:
    name = row.task_id if row.attempt_index == 1 else f"{row.task_id} #{row.attempt_index}"
    for line in _lines(row):
        click.echo(f"{name}: {line}" if with_name else line)


def _lines(row: AttemptRow) -> Iterator[str]:
    for text in (row.stdout, row.stderr):
        yield from map(harmless, text.splitlines())
