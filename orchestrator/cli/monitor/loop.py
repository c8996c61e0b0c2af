"""Show screens on the terminal, one upon another, until the last is left; the terminal is then as it was before."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live

from orchestrator.cli.monitor import view
from orchestrator.cli.monitor.keys import HangUpError, keyboard
from orchestrator.cli.monitor.screens import Leave, Screen
from orchestrator.errors import MatterStackError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

_LEAST_WIDTH, _LEAST_HEIGHT = 20, 6


def refuse_unable() -> None:
    """Raise `UsageError` where standard input and output are no terminal on which a screen can be drawn."""
    if os.environ.get("TERM", "") in ("", "dumb") or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "monitor needs a terminal on which it can draw, for its input and its output",
            hint="elsewhere use: matterstack status, or matterstack runs",
        )


def watch(screens: Sequence[Screen]) -> None:
    """Show the last of some screens, and the one below once it is left, until there is none, or the terminal goes."""
    stack = list(screens)
    with suppress(HangUpError), keyboard() as keys, _window() as show:
        while stack:
            show(stack[-1])
            for key in keys.wait(stack[-1].look_sec):
                _take(stack, key)


def _take(stack: list[Screen], key: str) -> None:
    """Let the topmost screen, if one is left, take a key, and do what it leads to."""
    if not stack:
        return
    turn = stack[-1].press(key)
    if turn is Leave.QUIT:
        stack.clear()
    elif turn is Leave.BACK:
        stack.pop()
    elif turn is not None:
        stack.append(turn)


@contextmanager
def _window() -> Iterator[Callable[[Screen], None]]:
    """Give what draws a screen in the whole window; what was there before comes back when the block ends."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(screen: Screen) -> None:
            width, height = console.size
            lines = _drawn(screen, max(width, _LEAST_WIDTH), max(height, _LEAST_HEIGHT))
            live.update(Group(*lines[:height]), refresh=True)

        yield show


def _drawn(screen: Screen, width: int, height: int) -> list[Text]:
    """Draw a screen; where it has nothing to draw, say why: it may have by the next look."""
    try:
        return screen.draw(width, height)
    except MatterStackError as error:
        return view.folded([*error.explained().splitlines(), "", "esc back, q quit"], width)[:height]
