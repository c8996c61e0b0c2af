"""The terminal is as it was before, however the view comes to its end."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from rich.text import Text

from orchestrator.cli.monitor.loop import refuse_unable, watch
from orchestrator.cli.monitor.screens import Dialog, Leave, Page, Screen
from orchestrator.errors import StoreError, UsageError

_MARK = b"<end of what was drawn>"
_PATIENCE_SEC = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A terminal: what is typed goes into ``master``, and what is drawn comes out of it."""

    master: int
    slave: int

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def shown(self) -> str:
        """Give all that was drawn; a terminal hands it on in pieces, in its own time, so a mark is drawn behind it."""
        os.write(self.slave, _MARK)
        drawn = bytearray()
        until = time.monotonic() + _PATIENCE_SEC
        while not drawn.endswith(_MARK):
            assert select.select([self.master], [], [], until - time.monotonic())[0], drawn
            drawn += os.read(self.master, 1 << 16)
        return drawn.removesuffix(_MARK).decode()


@dataclass(slots=True, kw_only=True)
class Scene:
    """A screen that says a word, or fails, and leaves with any key."""

    word: str = ""
    error: BaseException | None = None
    look_sec: float = 0.0

    def draw(self, width: int, height: int) -> list[Text]:
        """Say it."""
        if self.error:
            raise self.error
        return [Text(self.word)]

    def press(self, key: str) -> Screen | Leave | None:
        """Leave."""
        return Leave.QUIT


@contextmanager
def opened_window() -> Iterator[Window]:
    """Be in a terminal of 40 columns and 8 lines; pytest has streams of its own, which only a test can replace."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (8, 40))
    keys, screen = os.fdopen(os.dup(slave), encoding="utf-8"), os.fdopen(os.dup(slave), "w", encoding="utf-8")
    with keys, screen, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stdin", keys)
        patch.setattr(sys, "stdout", screen)
        yield Window(master=master, slave=slave)
    os.close(master)
    os.close(slave)


def test_the_other_screen_is_left() -> None:
    """With the cursor, and the settings of the keyboard."""
    with opened_window() as window:
        before = termios.tcgetattr(window.slave)
        window.type(b"q")
        watch([Scene(word="hello")])
        shown, after = window.shown(), termios.tcgetattr(window.slave)

    assert shown.index("\x1b[?1049h") < shown.index("hello") < shown.rindex("\x1b[?1049l")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert after == before


@pytest.mark.parametrize("error", [RuntimeError("a fault"), KeyboardInterrupt()])
def test_it_is_left_after_a_fault_too(error: BaseException) -> None:
    """Whatever the fault is."""
    with opened_window() as window:
        before = termios.tcgetattr(window.slave)
        with pytest.raises(type(error)):
            watch([Scene(error=error)])
        shown, after = window.shown(), termios.tcgetattr(window.slave)

    assert "\x1b[?1049l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert after == before


def test_what_cannot_be_read_is_told_in_the_window() -> None:
    """It may be there again by the next look."""
    with opened_window() as window:
        window.type(b"q")
        watch([Scene(error=StoreError("the state file is empty"))])
        shown = window.shown()

    assert "the state file is empty" in shown


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_is_refused(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """With what to use in its place."""
    with opened_window():
        refuse_unable()
        monkeypatch.setenv("TERM", term)
        with pytest.raises(UsageError, match="needs a terminal") as raised:
            refuse_unable()

    assert "matterstack status" in raised.value.hint


def test_a_page_follows_its_end_until_one_moves() -> None:
    """And again once one is back there."""
    lines = [str(number) for number in range(10)]
    page = Page("log", lambda: lines, follows=True)

    def shown() -> list[str]:
        return [line.plain for line in page.draw(10, 5)][1:-1]

    assert shown() == ["7", "8", "9"]
    page.press("up")
    lines.append("10")
    assert shown() == ["6", "7", "8"]
    page.press("end")
    lines.append("11")
    assert shown() == ["9", "10", "11"]


def test_a_dialog_tells_why_something_was_refused() -> None:
    """In the words of the error."""
    told: list[str] = []

    def refuse(reason: str) -> str:
        raise UsageError(f"no: {reason}", hint="wait")

    dialog = Dialog("cancel?", ["all of it"], refuse, told.append, asks_why=True)
    turns = [dialog.press(key) for key in ("z", "y", "n", "o", "backspace", "enter")]

    assert turns == [None] * 5 + [Leave.BACK]
    assert told == ["error[MS002]: no: n   = help: wait"]
