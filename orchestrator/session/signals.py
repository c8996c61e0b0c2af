"""Let signals stop a run while it is driven."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from orchestrator.driver import Driver

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_on_signals(driver: Driver, *, enabled: bool) -> Iterator[list[signal.Signals]]:
    """Stop the driver on SIGINT, SIGTERM and SIGHUP; a second one kills what runs. Gives the signals that came."""
    caught: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        caught.append(signal.Signals(number))
        driver.stop(kill=len(caught) > 1)

    if not enabled or threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
