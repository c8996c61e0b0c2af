"""The options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.paths import WORKSPACES_VARIABLE, find_recipe, workspaces_root
from orchestrator.store.database import FILE_NAME, Database, open_database, update_legacy
from orchestrator.store.finding import find_run
from orchestrator.wiring.options import WiringOptions

if TYPE_CHECKING:
    from orchestrator.plan import Selection

_SELECTING = (
    click.option(
        "--only",
        metavar="STEP[,STEP]",
        help="Run these steps and no others; status:failed@last and @last-failed name those.",
    ),
    click.option("--skip", metavar="STEP[,STEP]", help="Leave these steps out."),
    click.option("--tags", metavar="TAG[,TAG]", help="Run the steps that have one of these tags."),
    click.option(
        "--resume-from", "--from", "resume_from", metavar="STEP", help="Start at this step, on the last context."
    ),
    click.option("--until", metavar="STEP", help="Stop after this step."),
)
_A_FILE = click.Path(path_type=Path)
_WIRING = (
    click.option("--operators-config", type=_A_FILE, metavar="FILE", help="What operator keys mean, for this run."),
    click.option("--force-wiring-override", is_flag=True, help="Let FILE take the place of what the run has kept."),
    click.option("--profile", metavar="NAME", help="An older profile that 'hpc.default' means."),
    click.option("--config", "profiles_config", type=_A_FILE, metavar="FILE", help="The file with older profiles."),
    click.option(
        "--hpc-config", type=_A_FILE, metavar="FILE", help="An older file that says what 'hpc.default' means."
    ),
)
_Command = TypeVar("_Command", bound=Callable[..., object])


def workspaces_option(command: _Command) -> _Command:
    """Add ``--workspaces-dir``."""
    return click.option(
        "--workspaces-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help=f"Where runs live; else ${WORKSPACES_VARIABLE}, else 'workspaces' of this project.",
    )(command)


def recipe_file(name: str, workspaces_dir: Path | None) -> str:
    """Give the recipe that was named, by its file or by a workspace; errors as in `find_recipe`."""
    return find_recipe(name, workspaces_root(workspaces_dir))[0]


class _Duration(click.ParamType[float]):
    """Seconds, as a number or as recipes write them: ``30s``, ``5m``, ``2h``, ``1d``."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say how it is written."""
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  slow, and few commands need it

        from orchestrator.recipe.words import Seconds  # noqa: PLC0415  as above

        given = float(value) if isinstance(value, str) and value.isdecimal() else value
        try:
            return float(TypeAdapter(Seconds).validate_python(given))
        except ValidationError:
            self.fail(f"{value!r} is no duration: write seconds, or '30s', '5m', '2h', '1d'", param, ctx)


DURATION = _Duration()


def reason_option(command: _Command) -> _Command:
    """Add ``--reason``."""
    return click.option("--reason", default="", metavar="TEXT", help="Why, for the records.")(command)


def wait_option(command: _Command) -> _Command:
    """Add ``--no-wait``."""
    return click.option(
        "--no-wait",
        "wait",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Ask its runner, and do not wait for it.",
    )(command)


def break_option(command: _Command) -> _Command:
    """Add ``--break-at``."""
    return click.option(
        "--break-at", multiple=True, metavar="TASK", help="Pause before this task; what runs is waited for."
    )(command)


def wiring_options(command: _Command) -> _Command:
    """Add the options that say what operator keys mean; `read_wiring_options` reads them."""
    for option in reversed(_WIRING):
        command = option(command)
    return command


def read_wiring_options(options: Mapping[str, Any]) -> WiringOptions:
    """Read the options that say what operator keys mean; raise `UsageError` for older ones that do not fit together."""
    if options["hpc_config"] and options["profile"]:
        raise UsageError("--hpc-config and --profile are both given", hint="name one of them, or an operators.yaml")
    if options["profiles_config"] and not options["profile"]:
        raise UsageError("--config is given without --profile", hint="name the profile that hpc.default means")
    return WiringOptions(
        operators_config=options["operators_config"],
        force_override=options["force_wiring_override"],
        profile=options["profile"],
        profiles_config=options["profiles_config"],
        hpc_config=options["hpc_config"],
    )


def json_option(command: _Command) -> _Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def selection_options(command: _Command) -> _Command:
    """Add the options that select steps; `read_selection` reads them."""
    for option in reversed(_SELECTING):
        command = option(command)
    return command


def read_selection(options: Mapping[str, Any]) -> Selection:
    """Read the options that select steps; errors as in `read_selected`."""
    from orchestrator.plan import Selection  # noqa: PLC0415  slow, and only some commands need it

    return Selection(
        only=read_selected(options["only"]),
        skip=read_names(options["skip"]),
        tags=read_names(options["tags"]),
        resume_from=(options["resume_from"],) if options["resume_from"] is not None else (),
        until=(options["until"],) if options["until"] is not None else (),
    )


def open_run_for_reading(name: str, workspaces_dir: Path | None) -> Database:
    """Open the state file of the run that ``name`` stands for, read-only; one of MatterStack 0.2.x is made ours."""
    run_root = find_run(name, workspaces_root(workspaces_dir))
    update_legacy(run_root)
    return open_database(run_root / FILE_NAME, readonly=True)


def read_selected(text: str | None) -> tuple[str, ...]:
    """Read a list of steps to run; raise `NothingSelectedError` for one that is given and holds none."""
    names = read_names(text)
    if text is not None and not names:
        raise NothingSelectedError(f"--only {text!r} names no step", hint="name one, or leave --only out")
    return names


def read_names(text: str | None) -> tuple[str, ...]:
    """Read a list of names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
