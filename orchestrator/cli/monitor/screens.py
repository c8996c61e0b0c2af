"""What a screen is: it draws itself in a window, and takes one key at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Protocol

from rich.text import Text

from orchestrator.cli.monitor import view
from orchestrator.errors import MatterStackError

LOOK_SEC = 0.5


class Leave(Enum):
    """Where a key leads to that leaves a screen."""

    BACK = auto()
    QUIT = auto()


class Screen(Protocol):
    """One of the screens that lie upon one another; the topmost is seen."""

    @property
    def look_sec(self) -> float:
        """Give in how many seconds there may be something else to see."""

    def draw(self, width: int, height: int) -> list[Text]:
        """Give the lines of the window, at most so many; raise an error of ours where there is nothing to draw."""

    def press(self, key: str) -> Screen | Leave | None:
        """Take a key: go on with another screen, leave this one, or stay."""


class Page:
    """Texts that may be longer than the window; ``give`` is asked for them each time, and the end may be followed."""

    def __init__(self, title: str, give: Callable[[], Sequence[str]], *, follows: bool = False) -> None:
        self._title = title
        self._give = give
        self._follows = follows
        self._first = 0
        self._most = 0
        self._height = 1

    @property
    def look_sec(self) -> float:
        """Look again as often as elsewhere."""
        return LOOK_SEC

    def draw(self, width: int, height: int) -> list[Text]:
        """Draw the part that is looked at."""
        lines = view.folded(self._give(), width)
        self._height = max(height - 2, 1)
        self._most = max(len(lines) - self._height, 0)
        self._first = self._most if self._follows else min(self._first, self._most)
        shown = lines[self._first : self._first + self._height]
        blank = [Text()] * (self._height - len(shown))
        state = ", following" if self._follows else ""
        keys = f"{self._first + len(shown)}/{len(lines)}{state}   ↑↓ page move   end follow   esc back"
        return [*view.plain([self._title], width), *shown, *blank, view.footer(keys, width)]

    def press(self, key: str) -> Screen | Leave | None:
        """Move, or leave."""
        if key in ("escape", "left", "backspace", "l", "?"):
            return Leave.BACK
        if key == "q":
            return Leave.QUIT
        if (step := moved(key, self._height, self._most + 1)) is not None:
            self._first = max(0, min(self._first + step, self._most))
            self._follows = self._first == self._most
        return None


class Dialog:
    """Something to be read and confirmed with ``y`` before it is done, and where it ``asks_why``, also a reason."""

    def __init__(
        self,
        question: str,
        body: Sequence[str],
        act: Callable[[str], str],
        tell: Callable[[str], None],
        *,
        asks_why: bool = False,
    ) -> None:
        self._question = question
        self._page = Page("", lambda: body)
        self._act = act
        self._tell = tell
        self._asks_why = asks_why
        self._reason: str | None = None

    @property
    def look_sec(self) -> float:
        """Nothing changes but by keys."""
        return 10 * LOOK_SEC

    def draw(self, width: int, height: int) -> list[Text]:
        """Draw what is to be read, and at the bottom what is asked."""
        lines = self._page.draw(width, height)
        ask = (
            f"{self._question} y yes   n no" if self._reason is None else f"why? {self._reason}_   enter go on   esc no"
        )
        return [*lines[1:-1], Text(), view.footer(ask, width, is_loud=True)]

    def press(self, key: str) -> Screen | Leave | None:
        """Take the answer, letter by letter where a reason is typed."""
        if self._reason is not None:
            return self._type(key)
        if key in ("n", "escape", "q"):
            return Leave.BACK
        if key != "y":
            self._page.press(key if moved(key, 1, 1) is not None else "")
            return None
        if self._asks_why:
            self._reason = ""
            return None
        return self._done("")

    def _type(self, key: str) -> Leave | None:
        reason = self._reason or ""
        if key == "escape":
            return Leave.BACK
        if key == "enter":
            return self._done(reason)
        if key == "backspace":
            self._reason = reason[:-1]
        elif len(key) == 1:
            self._reason = reason + key
        return None

    def _done(self, reason: str) -> Leave:
        try:
            self._tell(self._act(reason.strip()))
        except MatterStackError as error:
            self._tell(error.explained().replace("\n", " "))
        return Leave.BACK


def moved(key: str, height: int, total: int) -> int | None:
    """Give by how many lines a key moves in a list of ``total``; None for a key that does not move."""
    steps = {
        "up": -1,
        "k": -1,
        "down": 1,
        "j": 1,
        "page up": -height,
        "page down": height,
        " ": height,
        "home": -total,
        "g": -total,
        "end": total,
        "G": total,
    }
    return steps.get(key)
