"""Give scriptlets and the program itself a logger that writes to standard error, never to standard output."""

from __future__ import annotations

import logging
import sys
import time

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to whatever `sys.stderr` is at that moment, so that a captured step's log goes with the step."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        """Give the current standard error."""
        return sys.stderr


def get_logger(name: str, level: int = logging.INFO) -> logging.Logger:
    """Return a logger named ``name`` with one UTC-stamped handler on standard error.

    Asking twice for a name gives the same logger with still one handler.
    """
    logger = logging.getLogger(name)
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        formatter = logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    return logger
