"""Give tests a project to run the program in, and print the score of the crash sweep below the summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.kills import Survival
from tests.acceptance.moments import Score
from tests.acceptance.program import Project, make_project


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make an empty project."""
    return make_project(tmp_path / "project")


@pytest.fixture(name="score")
def _score(record_property: Callable[[str, object], None]) -> Score:
    """Give a function that records how many of the points at which a command was killed it survived."""

    def record(survivals: list[Survival]) -> None:
        hits = [survival for survival in survivals if survival.hit]
        record_property("points", (sum(not survival.faults for survival in hits), len(hits)))

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up the scores that tests recorded."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    scores = [score for report in reports for name, score in report.user_properties if name == "points"]
    if scores:
        survived, tried = (sum(counts) for counts in zip(*scores, strict=True))
        terminalreporter.write_line(f"crash sweep: {survived} / {tried} points survived")
