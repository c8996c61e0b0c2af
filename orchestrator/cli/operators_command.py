"""``matterstack operators``: what operator keys mean here, and where that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, read_wiring_options, wiring_options, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.paths import find_run, workspaces_root
from orchestrator.store.database import reading
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.model import HumanOperator
from orchestrator.wiring.reading import Wired
from orchestrator.wiring.resolution import Resolved, resolve_wiring, resolved_from

HEADERS = ["operator_key", "kind", "backend", "max_concurrent"]


@click.group("operators")
def command() -> None:
    """Look at what operator keys mean here."""


@command.command("list")
@click.argument("workspace", required=False)
@click.option("--run", metavar="RUN", help="Show what this run has kept.")
@wiring_options
@workspaces_option
@json_option
def list_operators(
    workspace: str | None,
    run: str | None,
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
    **options: Any,  # noqa: ANN401  click's own types
) -> None:
    """List the operators of WORKSPACE, or those that every workspace has, and the file that says so."""
    root = workspaces_root(workspaces_dir)
    persisted = _kept(find_run(run, root)) if run else None
    folder = find_run(run, root).parent.parent if run else root / (workspace or "")
    found = resolve_wiring(folder, read_wiring_options(options), persisted)
    where = {"source": found.source.name, "path": str(found.path or ""), "sha256": found.wiring.sha256}
    rows = [_row(wired) for wired in found.wiring.operators.values()]
    if as_json:
        print_json({**where, "operators": [dict(zip(HEADERS, row, strict=True)) for row in rows]})
        return
    click.echo(f"source={found.source.name} sha256={found.wiring.sha256} {found.path or ''}".rstrip(), err=True)
    print_table(rows, HEADERS)


def _row(wired: Wired) -> tuple[str, str, str, int | None]:
    backend = wired.backend.type if wired.backend else "files" if isinstance(wired.operator, HumanOperator) else ""
    return wired.key, wired.kind, backend, wired.max_concurrent


def _kept(run_root: Path) -> Resolved | None:
    with reading(run_root) as database:
        kept = read_kept(database)
    return resolved_from(kept, run_root) if kept else None
