"""``matterstack monitor [RUN]``: watch runs on a terminal, answer what they ask, and steer them."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import workspaces_option
from orchestrator.paths import workspaces_root
from orchestrator.store.finding import find_run


@click.command("monitor")
@click.argument("run", required=False)
@workspaces_option
def command(run: str | None, workspaces_dir: Path | None) -> None:
    """Watch RUN, or all runs of all workspaces, on a terminal; ``?`` shows the keys.

    Nothing is changed but by keys that ask first, and it drives nothing.
    """
    from orchestrator.cli.monitor import loop  # noqa: PLC0415  it draws with a library that is slow to load
    from orchestrator.cli.monitor.run_screen import RunScreen  # noqa: PLC0415  as above
    from orchestrator.cli.monitor.runs_screen import RunsScreen  # noqa: PLC0415  as above

    loop.refuse_unable()
    workspaces = workspaces_root(workspaces_dir)
    screens: list[RunsScreen | RunScreen] = [RunsScreen(workspaces)]
    if run is not None:
        screens.append(RunScreen(find_run(run, workspaces)))
    loop.watch(screens)
