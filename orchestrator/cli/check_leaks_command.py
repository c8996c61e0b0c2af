"""``matterstack check-leaks RUN``: look for the recipe's secrets in everything that a run left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.evidence.leaks import leaks_in_files
from orchestrator.evidence.registered import declared_secrets
from orchestrator.paths import workspaces_root
from orchestrator.secrecy import Masker, read_secrets
from orchestrator.store.database import FILE_NAME, reading
from orchestrator.store.finding import find_run
from orchestrator.store.queries import iterate_texts


@click.command("check-leaks")
@click.argument("run", default="@last")
@workspaces_option
@json_option
def command(run: str, workspaces_dir: Path | None, as_json: bool) -> int:  # noqa: FBT001  a command-line flag
    """Look for the secrets of RUN's recipe, and their encodings, in its records and files; exit 1 where one is found.

    The secrets are read from where the recipe says they are, as for a run.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir))
    with reading(run_root) as database:
        declared = declared_secrets(database)
    names = sorted(name for secrets in declared for name in secrets)
    masker = Masker([value for secrets in declared for value in read_secrets(secrets).values()])
    found = [*leaks_in_files(run_root, masker), *_in_records(run_root, masker)]
    if as_json:
        print_json({"run_id": run_root.name, "secrets": names, "leaks": found})
    else:
        click.echo("\n".join(found) or f"{run_root.name}: no leak of {len(names)} secrets")
    return 1 if found else 0


def _in_records(run_root: Path, masker: Masker) -> Iterator[str]:
    """Search the values themselves: in the file, a long one is cut into pages."""
    with reading(run_root) as database:
        for table, column, text in iterate_texts(database):
            if masker.finds(text):
                yield f"{FILE_NAME}: a secret in {table}.{column}"
