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
@driving_options
def command(run: str, task: str, recursive: bool, **options: Any) -> int:  # noqa: ANN401, FBT001  click's own types
    """Run TASK of RUN once more as a new attempt, whatever came of it before."""
    return rerun_task(chosen_run(run, options), task, drive_options(options), recursive=recursive).exit_status
