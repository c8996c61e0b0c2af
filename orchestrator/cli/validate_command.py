"""``matterstack validate RECIPE...``: read and plan recipes without running them, and show every error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import recipe_file, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.errors import InvalidFileError, MatterStackError, Problem
from orchestrator.plan import check_recipe


@click.command("validate")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@workspaces_option
def command(recipes: tuple[str, ...], as_json: bool, workspaces_dir: Path | None) -> int:  # noqa: FBT001  a command-line flag
    """Check recipes; nothing is run or imported. Exits with 3 when one is invalid."""
    reports = [_check(recipe, workspaces_dir) for recipe in recipes]
    if as_json:
        print_json([report for report, _ in reports])
    return max(status for _, status in reports)


def _check(recipe: str, workspaces_dir: Path | None) -> tuple[dict[str, Any], int]:
    try:
        loaded = check_recipe(recipe_file(recipe, workspaces_dir)).loaded
    except InvalidFileError as error:
        click.echo(error.explained(), err=True)
        return {
            "recipe": recipe,
            "valid": False,
            "problems": [problem_document(p) for p in error.problems],
        }, error.exit_status
    except MatterStackError as error:
        click.echo(f"{recipe}: {error.explained()}", err=True)
        problem = Problem(error.code, error.message, None, error.hint)
        return {"recipe": recipe, "valid": False, "problems": [problem_document(problem)]}, error.exit_status
    for warning in loaded.warnings:
        click.echo(str(warning).replace("error[", "warning[", 1), err=True)
    count = len(loaded.recipe.steps)
    click.echo(f"{recipe}: ok, {count} step{'s' if count != 1 else ''}", err=True)
    warnings = [problem_document(warning) for warning in loaded.warnings]
    return {"recipe": recipe, "valid": True, "steps": count, "problems": [], "warnings": warnings}, 0


def problem_document(problem: Problem) -> dict[str, Any]:
    """Give a problem with its place, for programs."""
    place = problem.place
    where = {"file": place.file, "line": place.line, "column": place.column} if place else {}
    return {"code": problem.code, "message": problem.message, "help": problem.help, **where}
