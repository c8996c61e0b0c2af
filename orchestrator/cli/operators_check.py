"""``matterstack operators check``: whether what operator keys mean is there and can be used."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from orchestrator.cli.operators_wiring import chosen, wiring_in_force
from orchestrator.cli.options import json_option, wiring_options, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.cli.prompts import terminal_ask
from orchestrator.errors import InfrastructureError
from orchestrator.operators.checkups import checkup
from orchestrator.operators.findings import Finding, Verdict
from orchestrator.wiring.keys import complaint

HEADERS = ["operator_key", "what", "verdict", "found", "todo"]


@click.command("check")
@click.argument("words", nargs=-1, metavar="[WORKSPACE] [KEY]...")
@click.option("--run", metavar="RUN", help="Check what this run has kept.")
@wiring_options
@workspaces_option
@json_option
def command(
    words: tuple[str, ...],
    run: str | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
    **options: Any,  # noqa: ANN401  click's own types
) -> int:
    """Check the operators of WORKSPACE, or those of each KEY: login, programs, room, limits; nothing stays there."""
    workspace, keys = (None, words) if not words or not complaint(words[0]) else (words[0], words[1:])
    found = wiring_in_force(workspace, run, options)
    ask = terminal_ask()
    findings = [(wired.key, finding) for wired in chosen(found, keys) for finding in checkup(wired, ask)]
    has_failed = any(finding.verdict is Verdict.FAIL for _, finding in findings)
    if as_json:
        print_json({"ok": not has_failed, "findings": [_document(key, finding) for key, finding in findings]})
    else:
        print_table(([key, *_row(finding)] for key, finding in findings), HEADERS)
    return InfrastructureError.exit_status if has_failed else 0


def _row(finding: Finding) -> list[str]:
    return [finding.what, finding.verdict.value, finding.found, finding.todo]


def _document(key: str, finding: Finding) -> dict[str, str]:
    return {"operator_key": key, **dataclasses.asdict(finding)}
