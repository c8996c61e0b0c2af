"""``matterstack cancel-attempt RUN ATTEMPT``: end one attempt, and let its task go on by its rules."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import reason_option, workspaces_option
from orchestrator.paths import workspaces_root
from orchestrator.steering import cancel_attempt
from orchestrator.store.finding import find_run
from orchestrator.store.leases import is_driven


@click.command("cancel-attempt")
@click.argument("run")
@click.argument("attempt")
@reason_option
@workspaces_option
def command(run: str, attempt: str, reason: str, workspaces_dir: Path | None) -> int:
    """End ATTEMPT of RUN, an id or a unique beginning of one; its task is tried again or fails, as the recipe says."""
    run_root = find_run(run, workspaces_root(workspaces_dir))
    attempt_id = cancel_attempt(run_root, attempt, reason=reason)
    click.echo(f"Attempt cancelled: {attempt_id}")
    if not is_driven(run_root):
        click.echo(f"it ends when the run goes on: matterstack loop {run_root.name}", err=True)
    return 0
