"""``matterstack step RUN``: go on with a run as far as it goes without waiting for anybody."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from orchestrator.cli.driving import chosen_run, drive_options, driving_options
from orchestrator.cli.run_command import RunCommand
from orchestrator.runner import continue_run


@click.command("step", cls=RunCommand)
@click.argument("run", default="@last")
@driving_options
def command(run: str, **options: Any) -> int:  # noqa: ANN401  click's own types
    """Go on with RUN as far as it goes without waiting for people; exit with 5 where it waits for them."""
    chosen = dataclasses.replace(drive_options(options), once=True)
    return continue_run(chosen_run(run, options), chosen).exit_status
