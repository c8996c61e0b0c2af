"""``matterstack init WORKSPACE|RECIPE``: open a run that others drive."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.beginning import beginning_options, read_beginning
from orchestrator.cli.options import read_wiring_options, wiring_options, workspaces_option
from orchestrator.runner import init_run
from orchestrator.session import DriveOptions


@click.command("init")
@click.argument("recipe", metavar="WORKSPACE|RECIPE")
@beginning_options
@wiring_options
@workspaces_option
def command(recipe: str, workspaces_dir: Path | None, **options: Any) -> int:  # noqa: ANN401  click's own types
    """Open a run of a recipe, or of a workspace's recipe or campaign, and print its id; nothing of it is driven.

    'matterstack loop RUN' and 'matterstack step RUN' drive it, by the wiring that is in force now.
    """
    request = dataclasses.replace(
        read_beginning(recipe, options, workspaces_dir),
        options=DriveOptions(fail_fast=not options["keep_going"], asked=read_wiring_options(options)),
    )
    click.echo(f"Run initialized: {init_run(request).name}")
    return 0
