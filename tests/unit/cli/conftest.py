"""Give tests the command line and a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from orchestrator.cli.main import run_command_line
from tests.unit.cli.program import Answer, Terminal
from tests.unit.workshop import Workshop

COLOURS = ("NO_COLOR", "FORCE_COLOR", "TERM")


@pytest.fixture(name="call")
def _call(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run a command in the workshop as if its words had been typed."""

    def call(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["matterstack", *words])
        capsys.readouterr()
        status = run_command_line()
        said = capsys.readouterr()
        return Answer(status=status, stdout=said.out, stderr=said.err)

    return call


@pytest.fixture(name="plain", autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no wish of the outer environment for colours count."""
    for name in COLOURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[Terminal]:
    """Open a terminal."""
    terminal = Terminal()
    yield terminal
    terminal.close()
