"""``matterstack retry RUN``: run what failed once more."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.driving import chosen_run, drive_options, driving_options
from orchestrator.cli.run_command import RunCommand
from orchestrator.runner import retry_run


@click.command("retry", cls=RunCommand)
@click.argument("run", default="@last")
@driving_options
def command(run: str, **options: Any) -> int:  # noqa: ANN401  click's own types
    """Run what failed in RUN once more, and what waited for it; steps and items that succeeded are kept."""
    return retry_run(chosen_run(run, options), drive_options(options)).exit_status
