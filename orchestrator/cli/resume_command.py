"""``matterstack resume RUN``: continue an interrupted or paused run with what it was started with."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.driving import chosen_run, drive_options, driving_options
from orchestrator.cli.run_command import RunCommand
from orchestrator.runner import resume_run


@click.command("resume", cls=RunCommand)
@click.argument("run", default="@last")
@driving_options
def command(run: str, **options: Any) -> int:  # noqa: ANN401  click's own types
    """Continue RUN: finished steps are not run again, a step that was running is attempted again."""
    return resume_run(chosen_run(run, options), drive_options(options)).exit_status
