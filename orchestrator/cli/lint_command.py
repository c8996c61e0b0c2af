"""``matterstack lint RECIPE...``: give advice on recipes that can be run."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import recipe_file, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.cli.validate_command import problem_document
from orchestrator.errors import CODES, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.lint import advise

_INVALID = 3


@click.command("lint")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option("--ignore", metavar="CODE[,CODE]", default="", help="Leave out what has one of these codes.")
@click.option("--strict", is_flag=True, help="Exit with 3 where there is any advice.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@workspaces_option
def command(
    recipes: tuple[str, ...],
    ignore: str,
    strict: bool,  # noqa: FBT001  a command-line flag
    as_json: bool,  # noqa: FBT001  as above
    workspaces_dir: Path | None,
) -> int:
    """Look in recipes for what is probably not meant, or will be hard to read, trust or share."""
    ignored = {code.strip() for code in ignore.split(",") if code.strip()}
    if strays := sorted(ignored - CODES.keys()):
        raise UsageError(f"there is no code {strays[0]!r}", hint=did_you_mean(strays[0], CODES))
    found = [
        problem
        for recipe in recipes
        for problem in advise(recipe_file(recipe, workspaces_dir))
        if problem.code not in ignored
    ]
    for problem in found:
        click.echo(str(problem).replace("error[", "warning[", 1), err=True)
    if as_json:
        print_json([problem_document(problem) for problem in found])
    if not found:
        click.echo("nothing to say", err=True)
    return _INVALID if found and strict else 0
