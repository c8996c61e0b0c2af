"""Ask who sits at the terminal for what a host wants somebody to type; it is kept nowhere."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence

import click

from orchestrator.remote.login import Ask, Prompt


def terminal_ask() -> Ask | None:
    """Give the way to ask whoever sits at the terminal; None where standard input or error is no terminal."""
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


def _ask(prompts: Sequence[Prompt]) -> Sequence[str] | None:
    try:
        return [_typed(prompt) for prompt in prompts]
    except EOFError:
        click.echo(err=True)
        return None


def _typed(prompt: Prompt) -> str:
    text = f"{prompt.text.rstrip(': ')}: "
    if not prompt.is_shown:
        return getpass.getpass(text, stream=sys.stderr)
    click.echo(text, err=True, nl=False)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
