"""``matterstack cleanup-orphans``: end attempts that a runner left open when it died."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.options import DURATION, workspaces_option
from orchestrator.cli.output import print_table
from orchestrator.errors import RunLockedError, StoreError
from orchestrator.paths import iterate_runs, workspaces_root
from orchestrator.steering import end_orphans
from orchestrator.store.finding import find_run

HEADERS = ["run_id", "task_id", "attempt_id", "created_at"]


@click.command("cleanup-orphans")
@click.option("--run-id", "run", metavar="RUN", help="The run; else all that nobody drives.")
@click.option("--timeout", type=DURATION, default="1h", show_default=True, help="How long attempts may be open.")
@click.option("--dry-run", is_flag=True, help="Show them, and end none.")
@workspaces_option
def command(
    run: str | None,
    timeout: float,
    dry_run: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> int:
    """End attempts as lost that are open for longer although nobody drives their run; their tasks are pending then."""
    root = workspaces_root(workspaces_dir)
    runs = [find_run(run, root)] if run is not None else iterate_runs(root)
    print_table((row for run_root in runs for row in _ended(run_root, timeout, dry_run=dry_run)), HEADERS)
    return 0


def _ended(run_root: Path, timeout_sec: float, *, dry_run: bool) -> Iterator[list[str]]:
    """End the orphans of one run; one that cannot be read, or that somebody drives meanwhile, is told and left."""
    try:
        found = end_orphans(run_root, older_than_sec=timeout_sec, dry_run=dry_run)
    except (RunLockedError, StoreError) as error:
        click.echo(f"run {run_root.name} is left alone: {error.message}", err=True)
        return
    yield from ([run_root.name, row.task_id, row.attempt_id, row.created_at] for row in found)
