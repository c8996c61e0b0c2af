"""Give tests a project to run the program in, and print the score of the crash sweep below the summary."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.program import Project, make_project


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Make an empty project."""
    return make_project(tmp_path / "project")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up the scores that tests recorded."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    scores = [score for report in reports for name, score in report.user_properties if name == "points"]
    if scores:
        survived, tried = (sum(counts) for counts in zip(*scores, strict=True))
        terminalreporter.write_line(f"crash sweep: {survived} / {tried} points survived")
