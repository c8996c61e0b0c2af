"""``matterstack loop [RUN]``: drive a run, or all that are active, until each has settled."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.driving import chosen_run, drive_options, driving_options
from orchestrator.cli.fleet import Told, active_runs, drive_all
from orchestrator.cli.run_command import RunCommand
from orchestrator.errors import RunLockedError
from orchestrator.paths import workspaces_root
from orchestrator.runner import continue_run


@click.command("loop", cls=RunCommand)
@click.argument("run", required=False)
@click.option("--unless-driven", is_flag=True, hidden=True, help="Leave a run alone that somebody drives.")
@driving_options
def command(run: str | None, unless_driven: bool, **options: Any) -> int:  # noqa: ANN401, FBT001  click's own types
    """Drive RUN until it settles, also while people are asked; without RUN, all active runs of all workspaces.

    Each of them has a process of its own. Paused runs, and those that others drive, are left alone.
    """
    if run is None:
        runs = active_runs(workspaces_root(options["workspaces_dir"]))
        return drive_all(runs, sys.argv[sys.argv.index("loop") + 1 :])
    run_root = chosen_run(run, options)
    try:
        return continue_run(run_root, drive_options(options)).exit_status
    except RunLockedError as error:
        if not unless_driven:
            raise
        Told(run_root.name).say(f"left alone: {error.message}")
        return 0
