"""``matterstack check-leaks RUN``: look for the recipe's secrets in everything that a run left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.paths import find_run, located, workspaces_root
from orchestrator.plan import recipes_of
from orchestrator.runner import read_start
from orchestrator.secrecy import Masker, read_secrets
from orchestrator.sources import Source
from orchestrator.store.database import FILE_NAME, reading
from orchestrator.store.queries import iterate_texts

_OVERLAP = 1 << 16
_CHUNK = 1 << 22


@click.command("check-leaks")
@click.argument("run", default="@last")
@workspaces_option
@json_option
def command(run: str, workspaces_dir: Path | None, as_json: bool) -> int:  # noqa: FBT001  a command-line flag
    """Look for the secrets of RUN's recipe, and their encodings, in its records and files; exit 1 where one is found.

    The secrets are read from where the recipe says they are, as for a run.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir))
    folder = located(read_start(run_root)["recipe_folder"], run_root.parent)
    text = (run_root / "recipe.yaml").read_text(encoding="utf-8")
    recipes = recipes_of(Source.from_text(str(run_root / "recipe.yaml"), text), folder)
    declared = [recipe.secrets for recipe in recipes]
    names = sorted(name for secrets in declared for name in secrets)
    masker = Masker([value for secrets in declared for value in read_secrets(secrets).values()])
    found = [*_in_files(run_root, masker), *_in_records(run_root, masker)]
    if as_json:
        print_json({"run_id": run_root.name, "secrets": names, "leaks": found})
    else:
        click.echo("\n".join(found) or f"{run_root.name}: no leak of {len(names)} secrets")
    return 1 if found else 0


def _in_files(run_root: Path, masker: Masker) -> Iterator[str]:
    for path in sorted(path for path in run_root.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(run_root)
        if masker.finds(str(name)):
            yield f"{masker.mask(str(name))}: a secret is in its name"
        yield from (f"{name}: a secret at byte {offset}" for offset in _offsets(path, masker))


def _offsets(path: Path, masker: Masker) -> Iterator[int]:
    """Search a file in pieces that overlap, byte by byte as Latin-1, so that any file can be searched."""
    before, offset = "", 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            text = before + chunk.decode("latin-1")
            start = offset - len(before)
            yield from (start + place for place in masker.places(text) if start + place >= offset - _OVERLAP)
            offset += len(chunk)
            before = text[-_OVERLAP:]


def _in_records(run_root: Path, masker: Masker) -> Iterator[str]:
    """Search the values themselves: in the file, a long one is cut into pages."""
    with reading(run_root) as database:
        for table, column, text in iterate_texts(database):
            if masker.finds(text):
                yield f"{FILE_NAME}: a secret in {table}.{column}"
