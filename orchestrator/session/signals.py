"""Let signals stop a run while it is held."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from orchestrator.driver import Driver

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What came of SIGINT, SIGTERM and SIGHUP while a run is held: ``caught`` holds them, oldest first.

    None of them ends the process, so that the records can be closed and the result be told.
    """

    def __init__(self) -> None:
        self.caught: list[signal.Signals] = []
        self._driver: Driver | None = None
        self._breaks_in = False

    @contextmanager
    def caught_here(self) -> Iterator[None]:
        """Catch signals within the block, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._catch) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def until_caught(self, ask: Callable[[], None]) -> None:
        """Do what a person may be asked for, unless a signal came before; one that comes meanwhile breaks it off."""
        self._breaks_in = True
        try:
            if not self.caught:
                ask()
        except KeyboardInterrupt:
            if not self.caught:
                raise
        finally:
            self._breaks_in = False

    @contextmanager
    def stopping(self, driver: Driver) -> Iterator[None]:
        """Stop the driver where a signal came before or comes within the block; a second one kills what runs."""
        self._driver = driver
        try:
            if self.caught:
                self._stop(driver)
            yield
        finally:
            self._driver = None

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        self.caught.append(signal.Signals(number))
        if self._driver is not None:
            self._stop(self._driver)
        if self._breaks_in:
            raise KeyboardInterrupt

    def _stop(self, driver: Driver) -> None:
        driver.stop(kill=len(self.caught) > 1)
