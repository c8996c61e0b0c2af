"""``matterstack operators pause`` and ``resume``: let an operator key take on nothing new, while what runs goes on."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.operators_wiring import chosen, nowhere, wiring_of_run
from orchestrator.cli.options import reason_option, workspaces_option
from orchestrator.cli.output import harmless
from orchestrator.clock import utc_now
from orchestrator.operators.asking import current_user
from orchestrator.operators.pausing import Hold, end_hold, put_hold
from orchestrator.paths import workspaces_root
from orchestrator.store.finding import find_run
from orchestrator.wiring.keys import canonical


@click.command("pause")
@click.argument("key")
@click.option("--run", metavar="RUN", help="Only for this run; else for all runs of all workspaces.")
@reason_option
@workspaces_option
def pause(key: str, run: str | None, reason: str, workspaces_dir: Path | None) -> None:
    """Let nothing new be submitted to KEY until somebody resumes it; what it has goes on."""
    named = canonical(key)
    folder = _folder(run, workspaces_dir)
    if run:
        chosen(wiring_of_run(folder), (named,))
    put_hold(folder, named, Hold(by=current_user(), at=utc_now(), reason=reason, run_id=folder.name if run else ""))
    click.echo(f"Operator paused: {named}")
    # A run may have been given a file of its own, so this is no reason to refuse it.
    if not run and (doubt := nowhere(named, folder)):
        click.echo(f"note: {harmless(doubt)}", err=True)


@click.command("resume")
@click.argument("key")
@click.option("--run", metavar="RUN", help="Where it is paused for this run alone.")
@workspaces_option
def resume(key: str, run: str | None, workspaces_dir: Path | None) -> None:
    """Let KEY take on steps again."""
    named = canonical(key)
    end_hold(_folder(run, workspaces_dir), named)
    click.echo(f"Operator resumed: {named}")


def _folder(run: str | None, workspaces_dir: Path | None) -> Path:
    root = workspaces_root(workspaces_dir)
    return find_run(run, root) if run else root
