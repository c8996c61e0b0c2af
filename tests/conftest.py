"""Let the tests run with requirements.txt alone, and print the score of the crash sweeps below the summary."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec

import pytest

pytest_plugins = ("pytester", "tests.hpc.stack")

# The recipe that shows secrets reads this one.
os.environ.setdefault("LAB_TOKEN", "correct-horse-battery")


def is_installed() -> bool:
    """Tell whether the program is installed, and with it its own plugin for pytest."""
    return any(point.name == "matterstack" for point in entry_points(group="pytest11"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the settings of plugins that are missing, as strict configuration demands."""
    if not is_installed():
        parser.addini("matterstack_files", "recipes to collect; without the plugin nothing collects them", "args")
    if find_spec("pytest_timeout") is None:
        parser.addini("timeout", "seconds that one test may take; without pytest-timeout nothing enforces it")


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers of a session share no instrument and no look at a queue: a test would wait for another's.

    Nothing fails because an example took long.
    """
    if find_spec("hypothesis") is not None:
        from hypothesis import HealthCheck, settings  # noqa: PLC0415  it may be missing

        slow = [HealthCheck.too_slow]
        settings.register_profile("patient", settings(), deadline=None, suppress_health_check=slow)
        settings.load_profile("patient")
    folder = tempfile.mkdtemp(prefix="matterstack-tests-")
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    os.environ["XDG_RUNTIME_DIR"] = folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up the scores that tests recorded."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    scores = [score for report in reports for name, score in report.user_properties if name == "points"]
    if scores:
        survived, tried = (sum(counts) for counts in zip(*scores, strict=True))
        terminalreporter.write_line(f"crash sweep: {survived} / {tried} points survived")
