"""``matterstack rerun RUN TASK``: run one task once more."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.driving import chosen_run, drive_options, driving_options
from orchestrator.cli.run_command import RunCommand
from orchestrator.runner import rerun_task


@click.command("rerun", cls=RunCommand)
@click.argument("run")
@click.argument("task")
@click.option("--recursive", is_flag=True, help="Run all that depends on it once more too.")
@click.option("--force", is_flag=True, help="End what an operator has of it: a question, or a computation under way.")
@driving_options
def command(
    run: str,
    task: str,
    recursive: bool,  # noqa: FBT001  a command-line flag
    force: bool,  # noqa: FBT001  a command-line flag
    **options: Any,  # noqa: ANN401  click's own types
) -> int:
    """Run TASK of RUN once more as a new attempt, whatever came of it before."""
    run_root, driving = chosen_run(run, options), drive_options(options)
    return rerun_task(run_root, task, driving, recursive=recursive, force=force).exit_status
