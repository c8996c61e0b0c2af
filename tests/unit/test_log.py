"""Scriptlets log to standard error, stamped in UTC, and never to standard output."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr

import pytest

from orchestrator import get_logger


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the envelope."""
    get_logger("test.plain").info("read %d lines", 3)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("INFO test.plain: read 3 lines\n")


def test_lines_bear_the_time_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    """The stamp is ISO-8601 with milliseconds and Z."""
    get_logger("test.stamp").warning("x")

    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING test\.stamp: x\n", line)


def test_asking_twice_gives_one_line_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A logger that several modules ask for does not repeat itself."""
    first, second = get_logger("test.twice"), get_logger("test.twice")

    first.info("once")

    assert second is first
    assert capsys.readouterr().err.count("once") == 1


def test_a_logger_follows_standard_error() -> None:
    """A step that is captured takes the log of an imported logger with it."""
    logger = get_logger("test.moved")
    captured = io.StringIO()

    with redirect_stderr(captured):
        logger.info("inside")

    assert captured.getvalue().endswith("test.moved: inside\n")


def test_messages_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless asked for, details stay silent."""
    get_logger("test.quiet").debug("detail")

    assert capsys.readouterr().err == ""
