"""``matterstack operators``: what operator keys mean here, whether that works, and what they take on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli import operators_check, operators_login, operators_pause
from orchestrator.cli.operators_wiring import wiring_in_force
from orchestrator.cli.options import json_option, wiring_options, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.operators.pausing import Hold, hold_of
from orchestrator.paths import workspaces_root
from orchestrator.store.finding import find_run
from orchestrator.wiring.model import HumanOperator
from orchestrator.wiring.reading import Wired

HEADERS = ["operator_key", "kind", "backend", "max_concurrent", "paused"]


@click.group("operators")
def command() -> None:
    """Look at what operator keys mean here, check it, and let them rest."""


@command.command("list")
@click.argument("workspace", required=False)
@click.option("--run", metavar="RUN", help="Show what this run has kept.")
@wiring_options
@workspaces_option
@json_option
def list_operators(
    workspace: str | None,
    run: str | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
    **options: Any,  # noqa: ANN401  click's own types
) -> None:
    """List the operators of WORKSPACE, or those that every workspace has, and the file that says so."""
    found = wiring_in_force(workspace, run, options)
    root = workspaces_root(options["workspaces_dir"])
    folders = (root, *([find_run(run, root)] if run else []))
    where = {"source": found.source.name, "path": str(found.path or ""), "sha256": found.wiring.sha256}
    rows = [_row(wired, folders) for wired in found.wiring.operators.values()]
    if as_json:
        print_json({**where, "operators": [dict(zip(HEADERS, row, strict=True)) for row in rows]})
        return
    click.echo(f"source={found.source.name} sha256={found.wiring.sha256} {found.path or ''}".rstrip(), err=True)
    print_table([["no limit" if cell is None else cell for cell in row] for row in rows], HEADERS)


def _row(wired: Wired, folders: tuple[Path, ...]) -> tuple[str, str, str, int | None, str]:
    from orchestrator.operators.registry import limit_of  # noqa: PLC0415  slow, and the other commands need none of it

    backend = wired.backend.type if wired.backend else "files" if isinstance(wired.operator, HumanOperator) else ""
    holds: list[Hold] = [hold for folder in folders if (hold := hold_of(folder, wired.key))]
    return wired.key, wired.kind, backend, limit_of(wired), str(holds[0]) if holds else ""


for _command in (
    operators_check.command,
    operators_login.trust_host,
    operators_login.login,
    operators_pause.pause,
    operators_pause.resume,
):
    command.add_command(_command)
