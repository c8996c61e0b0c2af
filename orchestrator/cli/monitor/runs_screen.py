"""All runs of all workspaces on a screen."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from orchestrator.cli.monitor import view
from orchestrator.cli.monitor.reading import RunLine, RunsReader, window
from orchestrator.cli.monitor.run_screen import RunScreen
from orchestrator.cli.monitor.screens import LOOK_SEC, Leave, Page, Screen, moved
from orchestrator.clock import utc_now

HELP = """\
↑ ↓ j k, page up, page down, home, end     move
enter                                      open the run
?                                          this page
q, ctrl-c                                  leave

Runs that have not ended stand first, and otherwise the newest. One whose runner was killed is "stopped".
"""
_KEYS = "↑↓ move  enter open  ? help  q quit"


class RunsScreen:
    """The list of runs, of which one is chosen; it stays the same one wherever it moves."""

    def __init__(self, workspaces: Path) -> None:
        self._workspaces = workspaces
        self._reader = RunsReader(workspaces)
        self._lines: tuple[RunLine, ...] = ()
        self._chosen: Path | None = None
        self._index = 0
        self._first = 0
        self._height = 1

    @property
    def look_sec(self) -> float:
        """Look again at once while runs are unread, else twice a second."""
        return LOOK_SEC if self._reader.is_whole else 0.0

    def draw(self, width: int, height: int) -> list[Text]:
        """Read what has changed and draw the list."""
        self._lines = self._reader.look()
        roots = [line.root for line in self._lines]
        if self._chosen in roots:
            self._index = roots.index(self._chosen)
        self._index = max(0, min(self._index, len(roots) - 1))
        self._height = max(height - 3, 1)
        self._first = window(self._first, self._height, self._index, len(roots))
        lines = view.runs_screen(
            self._lines, self._index, self._first, width=width, height=self._height + 2, now=utc_now()
        )
        blank = [Text()] * (height - 1 - len(lines))
        where = _KEYS if roots else f"no runs below {self._workspaces}   q quit"
        return [*lines, *blank, view.footer(where, width)]

    def press(self, key: str) -> Screen | Leave | None:
        """Move, open a run, or leave."""
        if key == "q":
            return Leave.QUIT
        if key == "?":
            return Page("keys", HELP.splitlines)
        if key in ("enter", "right") and self._lines:
            self._chosen = self._lines[self._index].root
            return RunScreen(self._chosen)
        if (step := moved(key, self._height, len(self._lines))) is not None and self._lines:
            self._index = max(0, min(self._index + step, len(self._lines) - 1))
            self._chosen = self._lines[self._index].root if self._index else None
        return None
