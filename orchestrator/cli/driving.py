"""The options of all commands that go on with a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.cli.live import choose_reporter
from orchestrator.cli.options import break_option, read_wiring_options, wiring_options, workspaces_option
from orchestrator.cli.prompts import terminal_ask
from orchestrator.cli.run_command import print_outcome
from orchestrator.paths import workspaces_root
from orchestrator.session import DriveOptions
from orchestrator.store.finding import find_run

_Command = TypeVar("_Command", bound=Callable[..., object])
_OPTIONS = (
    click.option("--accept-recipe-change", is_flag=True, help="Go on although the recipe or a scriptlet changed."),
    click.option("-j", "--jobs", type=click.IntRange(1, 10_000), metavar="N", help="Run up to N steps at once."),
    break_option,
    click.option("--takeover", is_flag=True, help="Drive a run whose other machine is dead."),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing but the result."),
)


def driving_options(command: _Command) -> _Command:
    """Add the options; `drive_options` and `chosen_run` read them."""
    command = wiring_options(workspaces_option(command))
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def drive_options(options: Mapping[str, Any]) -> DriveOptions:
    """Give the options as the runner takes them."""
    return DriveOptions(
        accept_changes=options["accept_recipe_change"],
        jobs=options["jobs"],
        takeover=options["takeover"],
        asked=read_wiring_options(options),
        break_at=options["break_at"],
        ask=terminal_ask(),
        reporter=choose_reporter(quiet=options["quiet"]),
        deliver=print_outcome,
    )


def chosen_run(name: str, options: Mapping[str, Any]) -> Path:
    """Give the directory of the run that a name stands for."""
    return find_run(name, workspaces_root(options["workspaces_dir"]))
