"""The options of the commands that begin a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.cli.options import read_selection, selection_options
from orchestrator.context import Context
from orchestrator.inputs import read_settings
from orchestrator.paths import find_recipe, workspaces_root
from orchestrator.runner import RunRequest
from orchestrator.scriptlet import read_context

_Command = TypeVar("_Command", bound=Callable[..., object])
_BEFORE = (
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input; VALUE is a YAML scalar."
    ),
)
_AFTER = (
    click.option("--ctx", "ctx_source", metavar="FILE|@last", help="Start with the values of an earlier run."),
    click.option("--workspace", metavar="SLUG", help="The workspace to run in."),
    click.option("--stub", type=click.Path(path_type=Path), metavar="FILE", help="Let this file answer for steps."),
    click.option("--keep-going", is_flag=True, help="After a failure, still run what does not depend on it."),
    click.option("--allow-network-fs", is_flag=True, help="Keep runs on a file system that is shared over a network."),
)


def beginning_options(command: _Command) -> _Command:
    """Add the options; `read_beginning` reads them."""
    for option in reversed(_AFTER):
        command = option(command)
    command = selection_options(command)
    for option in reversed(_BEFORE):
        command = option(command)
    return command


def read_beginning(recipe: str, options: Mapping[str, Any], workspaces_dir: Path | None) -> RunRequest:
    """Give what is to begin, of a recipe or a workspace; how it is driven is left as it is by default."""
    initial = read_context(options["ctx_source"]) if options["ctx_source"] else Context()
    path, slug = find_recipe(recipe, workspaces_root(workspaces_dir))
    return RunRequest(
        recipe=path,
        inputs=read_settings(options["settings"]),
        selection=read_selection(options),
        context=initial.to_dict(),
        workspace=options["workspace"] or slug,
        workspaces_dir=workspaces_dir,
        stubs=options["stub"],
        allow_network_fs=options["allow_network_fs"],
    )
