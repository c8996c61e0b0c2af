"""``matterstack pause RUN``: let a run start nothing more until somebody resumes it."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import reason_option, wait_option, workspaces_option
from orchestrator.errors import UsageError
from orchestrator.paths import workspaces_root
from orchestrator.states import ENDED_RUNS, RunState
from orchestrator.steering import pause_run
from orchestrator.store.finding import find_run


@click.command("pause")
@click.argument("run")
@reason_option
@wait_option
@workspaces_option
def command(
    run: str,
    reason: str,
    wait: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> int:
    """Pause RUN: nothing more is started, and only 'matterstack resume' goes on.

    What its runner runs comes to its end; what operators have goes on meanwhile.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir))
    state = pause_run(run_root, reason=reason, waits=wait)
    if state in ENDED_RUNS:
        raise UsageError(f"run {run_root.name} was {state} before it could pause", hint="see its status")
    if state is RunState.PAUSED:
        click.echo(f"Run paused: {run_root.name}")
    else:
        click.echo(
            f"run {run_root.name} pauses when what its runner runs has ended; what operators have goes on", err=True
        )
    return 0
