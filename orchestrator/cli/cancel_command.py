"""``matterstack cancel RUN``: end a run for good, whoever drives it."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.live import choose_reporter
from orchestrator.cli.options import reason_option, wait_option, workspaces_option
from orchestrator.cli.prompts import terminal_ask
from orchestrator.errors import UsageError
from orchestrator.paths import workspaces_root
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from orchestrator.steering import cancel_run
from orchestrator.store.finding import find_run


@click.command("cancel")
@click.argument("run")
@reason_option
@click.option("--force", is_flag=True, help="Leave out what the run does last, where nobody drives it.")
@wait_option
@click.option("--takeover", is_flag=True, help="Cancel a run whose other machine is dead.")
@workspaces_option
def command(
    run: str,
    reason: str,
    force: bool,  # noqa: FBT001  a command-line flag
    wait: bool,  # noqa: FBT001  a command-line flag
    takeover: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> int:
    """Cancel RUN: what runs is told to end, what the recipe does last is done, nothing else is started."""
    run_root = find_run(run, workspaces_root(workspaces_dir))
    options = DriveOptions(takeover=takeover, ask=terminal_ask(), reporter=choose_reporter(quiet=False))
    state = cancel_run(run_root, reason=reason, options=options, leaves_out_last=force, waits=wait)
    if state is RunState.CANCELLED:
        click.echo(f"Run cancelled: {run_root.name}")
    elif state in (RunState.COMPLETED, RunState.FAILED):
        raise UsageError(f"run {run_root.name} was {state} before it could be cancelled", hint="see its status")
    else:
        click.echo(f"run {run_root.name} is asked to end; see: matterstack status {run_root.name}", err=True)
    return 0
