"""``matterstack schema``: the JSON Schema of recipes."""

from __future__ import annotations

from importlib import resources

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of recipes (draft-07); editors use it to complete and check."""
    folder = resources.files("orchestrator").joinpath("schema")
    click.echo(folder.joinpath("recipe-v1.json").read_text(encoding="utf-8"), nl=False)
