"""``matterstack upgrade RECIPE``: rewrite a recipe into the newest version of the language."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.output import harmless
from orchestrator.files import replace_file
from orchestrator.sources import read_source
from orchestrator.upgrade import upgraded


@click.command("upgrade")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Write the file; else the change is only shown.")
def command(recipe: Path, write: bool) -> int:  # noqa: FBT001  a command-line flag
    """Show what would change in RECIPE to be written in the newest version of the language.

    Its comments stay, and it means what it meant.
    """
    source = read_source(recipe)
    text = upgraded(source)
    if text == source.text:
        click.echo(f"{recipe}: nothing to change", err=True)
        return 0
    if write:
        replace_file(recipe, text.encode())
        click.echo(f"{recipe}: written", err=True)
        return 0
    import difflib

    lines = difflib.unified_diff(
        source.text.splitlines(keepends=True), text.splitlines(keepends=True), str(recipe), str(recipe)
    )
    for line in lines:
        click.echo(harmless(line.rstrip("\n")))
    return 0
