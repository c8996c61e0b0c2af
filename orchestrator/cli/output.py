"""Print results: tables for people, TSV and JSON for programs; standard output holds nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

import click

from orchestrator.errors import UsageError


def open_closed_streams() -> None:
    """Put the null device in the place of standard streams that are closed, before a file of ours gets their number."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", encoding="utf-8"))


def as_usage_error(error: click.UsageError) -> UsageError:
    """Give what is wrong with the words that were typed as an error of ours, with where to read how to type them."""
    message = error.format_message() if not isinstance(error, click.NoSuchOption) else error.message
    shown = f"see: {error.ctx.command_path} --help" if error.ctx else "see: matterstack --help"
    hint = f"{_close_option(error)}{shown}" if isinstance(error, click.NoSuchOption) else shown
    return UsageError(f"{message[:1].lower()}{message[1:].removesuffix('.')}", hint=hint)


def _close_option(error: click.NoSuchOption) -> str:
    """Give the option that is likely meant; the dashes, which all have, make none more likely."""
    from difflib import get_close_matches

    name = error.option_name.lstrip("-")
    close = [option for option in error.possibilities or () if get_close_matches(name, [option.lstrip("-")])]
    return f"did you mean {close[0]!r}? " if close else ""


@contextlib.contextmanager
def while_read(stream: TextIO, end: type[OSError] = BrokenPipeError) -> Iterator[None]:
    """Write as long as somebody reads: once the other end of a pipe has gone, the rest goes nowhere.

    With ``end`` as `OSError`, any other fault of the stream, such as a full disk, is its end too.
    """
    try:
        yield
    except end:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def drop_unwritten(stream: TextIO) -> None:
    """Let go of what a stream could not write, so that the interpreter does not try again at its end."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(value: Any) -> None:  # noqa: ANN401  any JSON value
    """Print one JSON document on one line, or indented on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def print_table(rows: Iterable[Sequence[object]], headers: Sequence[str]) -> None:
    """Print a table: aligned and without empty columns on a terminal, tab-separated and whole when piped."""
    listed = [["" if cell is None else _flat(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        used = [at for at in range(len(headers)) if not listed or any(row[at] != "" for row in listed)]
        click.echo(aligned([[row[at] for at in used] for row in listed], [headers[at] for at in used]))
        return
    for row in [headers, *listed]:
        click.echo("\t".join(row))


def aligned(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """Give a table as aligned text."""
    from tabulate import tabulate

    return tabulate(rows, headers=headers, disable_numparse=True)


def seconds(duration_sec: float | None) -> str:
    """Give a duration for people: ``0.12s``, ``3m05s``, ``2h07m``."""
    if duration_sec is None:
        return ""
    if duration_sec < 59.995:  # noqa: PLR2004  what two decimals still show as less than a minute
        return f"{duration_sec:.2f}s"
    minutes, rest = divmod(int(max(60, duration_sec)), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"  # noqa: PLR2004


def harmless(text: str) -> str:
    """Show control characters, other than tabs and line ends, instead of sending them to the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\t\n" else repr(letter)[1:-1] for letter in text)


def _flat(text: str) -> str:
    return harmless(text.replace("\t", " ").replace("\n", " "))
