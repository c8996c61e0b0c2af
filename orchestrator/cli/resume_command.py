"""``matterstack resume RUN``: continue an interrupted run with what it was started with."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import workspaces_option
from orchestrator.cli.reporters import choose_reporter
from orchestrator.cli.run_command import print_outcome, report_fault
from orchestrator.paths import find_run, workspaces_root
from orchestrator.runner import resume_run
from orchestrator.session import DriveOptions


@click.command("resume")
@click.argument("run", default="@last")
@click.option("--accept-recipe-change", is_flag=True, help="Go on although the recipe or a scriptlet changed.")
@click.option("-j", "--jobs", type=click.IntRange(1, 10_000), metavar="N", help="Run up to N steps at once.")
@click.option("--takeover", is_flag=True, help="Drive a run whose other machine is dead.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but the result.")
@workspaces_option
def command(
    run: str,
    accept_recipe_change: bool,  # noqa: FBT001  a command-line flag
    jobs: int | None,
    takeover: bool,  # noqa: FBT001  a command-line flag
    quiet: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
) -> int:
    """Continue RUN: finished steps are not run again, a step that was running is attempted again."""
    options = DriveOptions(
        accept_changes=accept_recipe_change,
        jobs=jobs,
        takeover=takeover,
        reporter=choose_reporter(quiet=quiet),
        deliver=print_outcome,
    )
    return report_fault(lambda: resume_run(find_run(run, workspaces_root(workspaces_dir)), options))
