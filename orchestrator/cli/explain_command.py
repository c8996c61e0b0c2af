"""``matterstack explain CODE|RUN``: what an error means, or what keeps a run from its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.advice import advice
from orchestrator.cli.frontier import asked, findings, todo
from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import harmless, print_json
from orchestrator.errors import CODES, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.store.database import Database
from orchestrator.store.queries import read_run
from orchestrator.store.wirings import read_kept, read_unused, tampering
from orchestrator.wiring.options import VARIABLE, told_of_change
from orchestrator.wiring.resolution import changed_file
from orchestrator.wiring.snapshot import FOLDER, TEXT_NAME

_CODE = re.compile(r"MS[0-9]+", re.IGNORECASE)


@click.command("explain")
@click.argument("what", metavar="CODE|RUN")
@workspaces_option
@json_option
def command(what: str, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """Say what an error code means and what to do, or what keeps RUN from its end."""
    if _CODE.fullmatch(what):
        _explain_code(what.upper(), as_json=as_json)
    else:
        _explain_run(open_run_for_reading(what, workspaces_dir), as_json=as_json)


def _explain_code(code: str, *, as_json: bool) -> None:
    if code not in CODES:
        raise UsageError(f"there is no error code {code!r}", hint=did_you_mean(code, CODES))
    if as_json:
        print_json({"code": code, "meaning": CODES[code], "advice": advice(code)})
    else:
        click.echo(f"{code}: {CODES[code]}\n\n{advice(code)}")


def _explain_run(database: Database, *, as_json: bool) -> None:
    run = read_run(database)
    lines = [*asked(database), *findings(database), *_wiring(database)]
    what_to_do = todo(run.status, database)
    if as_json:
        print_json({"run_id": run.run_id, "status": run.status, "findings": lines, "todo": what_to_do})
        return
    click.echo(f"{run.run_id}: {run.status}{f', {run.status_reason}' if run.status_reason else ''}")
    for line in lines:
        click.echo(f"  {harmless(line)}")
    click.echo(f"  = {what_to_do}")


def _wiring(database: Database) -> Iterator[str]:
    """Say by which wiring the run goes, and whether what it has kept is still what it was."""
    kept = read_kept(database)
    if kept is None:
        yield "Operator wiring: source=NONE sha256=none snapshot=none"
    else:
        yield f"Operator wiring: source={kept.source} sha256={kept.sha256} snapshot={FOLDER}/{TEXT_NAME}"
        if (unused := read_unused(database)) and unused["sha256"] != kept.sha256:
            yield f"not used: {unused['path']}, which ${VARIABLE} has named meanwhile; the run keeps its snapshot"
        if path := changed_file(database.run_root.parent.parent, kept):
            text, command = told_of_change(str(path), database.run_root.name)
            yield f"not used: {text}; to go on by the file: {command}"
        if found := tampering(database, kept):
            yield f"it does not go on: {found}; put {FOLDER} back as it was, or go on with --force-wiring-override"
