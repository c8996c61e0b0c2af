"""``matterstack reset-run RUN TASK``: make one task pending again, or give it up."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import reason_option, workspaces_option
from orchestrator.paths import workspaces_root
from orchestrator.steering import reset_task
from orchestrator.store.finding import find_run


@click.command("reset-run")
@click.argument("run")
@click.argument("task")
@click.option(
    "--action", type=click.Choice(["reset", "delete"]), required=True, help="Make it pending, or end it as cancelled."
)
@reason_option
@workspaces_option
def command(run: str, task: str, action: str, reason: str, workspaces_dir: Path | None) -> int:
    """Make TASK of RUN pending again, or end it as cancelled; what it wrote counts no more, its attempts are kept."""
    run_root = find_run(run, workspaces_root(workspaces_dir))
    reset_task(run_root, task, action=action, reason=reason)
    click.echo(f"Task {'reset' if action == 'reset' else 'deleted'}: {task}")
    if action == "reset":
        click.echo(f"go on with: matterstack loop {run_root.name}", err=True)
    return 0
