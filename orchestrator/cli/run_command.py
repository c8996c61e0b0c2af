"""``matterstack run RECIPE``: run a recipe, or go on with an interrupted run of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.beginning import beginning_options, read_beginning
from orchestrator.cli.live import choose_reporter
from orchestrator.cli.options import (
    break_option,
    read_wiring_options,
    wiring_options,
    workspaces_option,
)
from orchestrator.cli.output import aligned, as_usage_error, harmless, while_read
from orchestrator.cli.prompts import terminal_ask
from orchestrator.errors import InvalidFileError, MatterStackError, StepFailedError, UsageError
from orchestrator.runner import run
from orchestrator.session import DriveOptions, Outcome


class RunCommand(click.Command):
    """A command that drives a run: where there can be none, standard output says so too, unless it is a terminal."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what was typed."""
        with _told_as_result():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Drive the run; return the exit status."""
        with _told_as_result():
            return super().invoke(ctx)


@contextmanager
def _told_as_result() -> Iterator[None]:
    try:
        yield
    except (MatterStackError, click.UsageError) as fault:
        error = fault if isinstance(fault, MatterStackError) else as_usage_error(fault)
        if not sys.stdout.isatty():
            step = error.step if isinstance(error, StepFailedError) else ""
            _print_line(
                {"status": "error", "reason": _in_one_line(error), "exit_code": error.exit_status, "step": step}
            )
        raise error from fault


@click.command("run", cls=RunCommand)
@click.argument("recipe", required=False)
@click.option("--recipe", "recipe_option", metavar="RECIPE", help="The recipe, as an option.")
@beginning_options
@click.option("--isolation", type=click.Choice(["worker", "inline"]), default="worker", show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(1, 10_000), metavar="N", help="Run up to N steps at once.")
@break_option
@click.option("--no-cache", is_flag=True, help="Take over no former results, and keep none.")
@click.option("--new", is_flag=True, help="Start afresh, also when an interrupted run could go on.")
@click.option("--takeover", is_flag=True, help="Drive a run whose other machine is dead.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page about the run at its end.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML at the run's end.")
@click.option("--table", is_flag=True, help="Print the results as a table instead of the JSON line.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but the result.")
@wiring_options
@workspaces_option
def command(recipe: str | None, recipe_option: str | None, **options: Any) -> int:  # noqa: ANN401  click's own types
    """Run RECIPE, a file or a workspace ('-' reads standard input), and print the result as one JSON line.

    A run of the same recipe with the same inputs that was interrupted is continued, unless --new is given.
    """
    if (recipe is None) == (recipe_option is None):
        raise UsageError("give one recipe", hint="as in: matterstack run recipes/median.yaml")
    return _run(recipe or recipe_option or "", options).exit_status


def print_outcome(outcome: Outcome, *, table: bool = False) -> None:
    """Print what a run came to."""
    with while_read(sys.stdout):
        if table:
            _print_results(outcome)
        elif not sys.stdout.isatty():
            _print_line(outcome.to_json())


def _run(recipe: str, options: dict[str, Any]) -> Outcome:
    write_reports = _reports(options)
    request = dataclasses.replace(
        read_beginning(recipe, options, options["workspaces_dir"]),
        fresh=options["new"],
        options=DriveOptions(
            inline=options["isolation"] == "inline",
            jobs=options["jobs"],
            use_cache=not options["no_cache"],
            fail_fast=not options["keep_going"],
            takeover=options["takeover"],
            asked=read_wiring_options(options),
            break_at=options["break_at"],
            ask=terminal_ask(),
            reporter=choose_reporter(quiet=options["quiet"]),
            deliver=partial(print_outcome, table=options["table"]),
        ),
    )
    outcome = run(request)
    write_reports(outcome.run_root)
    return outcome


def _reports(options: Mapping[str, Any]) -> Callable[[Path], None]:
    """Check where reports are to be written, before the run; give what writes them into there."""
    wanted = {kind: options[kind] for kind in ("html", "junit") if options[kind]}
    if not wanted:
        return lambda _: None
    from orchestrator.cli.report_command import check_target, write_report  # noqa: PLC0415  slow, and few runs want one

    for path in wanted.values():
        check_target(path)

    def write(run_root: Path) -> None:
        for kind, path in wanted.items():
            write_report(run_root, kind, path)

    return write


def _in_one_line(error: MatterStackError) -> str:
    """Give an error without caret frames: the first problem of a file and how many more there are."""
    if not isinstance(error, InvalidFileError):
        return error.message
    first, more = error.problems[0], len(error.problems) - 1
    place = f"{first.place}: " if first.place else ""
    return f"{place}{first.message}{f' (and {more} more)' if more else ''}"


def _print_line(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, ensure_ascii=False))


def _print_results(outcome: Outcome) -> None:
    rows = [
        (key if field is None else f"{key}.{field}", value)
        for key, whole in outcome.context.to_dict().items()
        for field, value in (whole.items() if isinstance(whole, dict) else [(None, whole)])
    ]
    shown = [(name, harmless(json.dumps(value, ensure_ascii=False))) for name, value in rows]
    click.echo(aligned(shown, ["result", "value"]))
    click.echo(f"run: {outcome.run_root}")
