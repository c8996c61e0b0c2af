"""Keep what happened in a tick to be told when it is durable."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from orchestrator.progress import Happening, Reporter


class News:
    """What is to be told, and what else is to be done, after the commit of the present tick."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._waiting: list[Callable[[], None]] = []

    def tell(self, happening: Happening) -> None:
        """Let the reporter hear of something."""
        self.then(partial(self._reporter.tell, happening))

    def then(self, act: Callable[[], None]) -> None:
        """Do something in its turn."""
        self._waiting.append(act)

    def go_out(self) -> None:
        """Do all that waits; to be called after the commit."""
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()
