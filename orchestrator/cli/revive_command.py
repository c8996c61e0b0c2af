"""``matterstack revive RUN``: open a run that has ended once more."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import reason_option, workspaces_option
from orchestrator.paths import workspaces_root
from orchestrator.steering import revive_run
from orchestrator.store.finding import find_run


@click.command("revive")
@click.argument("run")
@reason_option
@workspaces_option
def command(run: str, reason: str, workspaces_dir: Path | None) -> int:
    """Make RUN, which has ended, pending with all that failed, was blocked or cancelled in it; nothing is driven."""
    run_root = find_run(run, workspaces_root(workspaces_dir))
    revive_run(run_root, reason=reason)
    click.echo(f"Run revived: {run_root.name}")
    click.echo(f"go on with: matterstack loop {run_root.name}", err=True)
    return 0
