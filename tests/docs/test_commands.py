"""The page of commands describes the command line as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from orchestrator.cli.main import cli
from tests.docs.documents import REFERENCE, rows, section

PAGE = REFERENCE / "commands.md"
OTHER_HEADINGS = {"Options of several commands", "From Python"}


def commands(command: click.Command = cli, words: tuple[str, ...] = ("matterstack",)) -> Iterator[tuple[str, str]]:
    """Give the heading and the usage of every command."""
    context = click.Context(command, info_name=" ".join(words))
    name = " ".join(words[1:] or words)
    yield (
        f"{'###' if len(words) > 2 else '##'} {name}",
        f"{' '.join(words)} {' '.join(command.collect_usage_pieces(context))}",
    )
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from commands(_found(command, context, below), (*words, below))


def options(heading: str) -> list[str]:
    """Give the options of a command as its help spells them, without help itself."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in heading.split()[1:]:
        if isinstance(command, click.Group) and word != "matterstack":
            command = _found(command, context, word)
    given = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    records = (parameter.get_help_record(context) for parameter in given)
    return [record[0] for record in records if record]


def _found(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    assert command is not None
    return command


HEADINGS = dict(commands())


@pytest.mark.parametrize("heading", HEADINGS)
def test_command_lists_its_options(heading: str) -> None:
    """A command's table has exactly the options that its help has, in the same order."""
    own, _, _ = section(PAGE, heading).partition("\n### ")

    assert [row[0] for row in rows(own)] == options(heading)


@pytest.mark.parametrize("heading", HEADINGS)
def test_command_shows_its_usage(heading: str) -> None:
    """Below its heading stands how the command is typed."""
    assert section(PAGE, heading).lstrip().startswith(HEADINGS[heading])


def test_page_describes_nothing_else() -> None:
    """Every heading is a command or one of the general ones."""
    headings = re.findall(r"^##+ .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert set(headings) == {*HEADINGS, *(f"## {heading}" for heading in OTHER_HEADINGS)}


def test_options_of_several_commands_are_explained_once() -> None:
    """What many commands share stands at the top."""
    shared = [row[0] for row in rows(section(PAGE, "## Options of several commands"))]

    assert shared == ["--workspaces-dir DIRECTORY", "--json", "-h, --help"]
