"""``matterstack export-evidence RUN``: write what a third party needs to check a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import harmless, print_json
from orchestrator.errors import Problem
from orchestrator.invoke import happen
from orchestrator.paths import workspaces_root
from orchestrator.store.finding import find_run

MISSING_STATUS = 4
CODE = "MS507"

_FAULTS = {"missing": "is gone", "changed": "is not what the run recorded", "refused": "is no regular file of its own"}


@click.command("export-evidence")
@click.argument("run", default="@last")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Where to; else into the run.")
@click.option("--allow-missing", is_flag=True, help="Exit with 0 although files are missing or changed.")
@click.option("--secret-env", multiple=True, metavar="NAME", help="A variable that holds a further secret.")
@click.option("--redact", is_flag=True, help="Mask secrets that are found, instead of refusing.")
@workspaces_option
@json_option
def command(
    run: str,
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
    **options: Any,  # noqa: ANN401  click's own types
) -> int:
    """Write the evidence of RUN, with a digest of each file, and print where it is.

    Exit 4 where a file of an attempt is missing, or not what the run recorded.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir))
    output = options["output"]
    asked = {"secret_env": list(options["secret_env"]), "redact": options["redact"]}
    params = {"run_root": str(run_root), "output": str(output) if output else None, **asked}
    exported = happen("evidence.asked", params)["_evidence.exported_v1"]
    if as_json:
        print_json(exported)
    else:
        click.echo(exported["path"])
    faults = list(_faults(exported))
    for text in (*faults, *_notes(exported)):
        click.echo(harmless(text), err=True)
    return MISSING_STATUS if faults and not options["allow_missing"] else 0


def _faults(exported: dict[str, Any]) -> Iterator[str]:
    hint = "put it back as it was, or accept it with --allow-missing"
    for state, what in _FAULTS.items():
        yield from (str(Problem(CODE, f"{name} {what}", None, hint)) for name in exported[state])


def _notes(exported: dict[str, Any]) -> Iterator[str]:
    yield from (f"note: {name} is left out: a secret is in it or in its name" for name in exported["withheld"])
    yield from (f"note: not looked for: {reason}" for reason in exported["secrets_unread"])
    if not exported["is_complete"]:
        yield "note: the run has not settled, or its runner has not let it go: this is what there is so far"
