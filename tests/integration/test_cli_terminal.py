"""What a person sees in a real terminal: the lines of the steps, the running one below them, and no JSON."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Project, read_pipe
from tests.integration.window import Terminal, until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

HELD = """\
steps:
  - name: held
    type: shell
    run: "echo here > ready; cat go > /dev/null; echo '{\\"status\\": \\"ok\\"}'"
"""


@pytest.fixture(name="terminal")
def _terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "tmux")
    yield terminal
    terminal.close()


@pytest.fixture(name="held")
def _held(project: Project) -> Project:
    """Make a project whose step stays at work until somebody writes into a pipe."""
    project.write("recipe.yaml", HELD)
    for name in ("ready", "go"):
        os.mkfifo(project.folder / name)
    return project


def lines_with(screen: str, start: str) -> list[str]:
    """Give the lines of a screen that begin with a word."""
    return [line for line in screen.splitlines() if line.split()[:1] == [start]]


def test_every_step_has_its_line(terminal: Terminal, checkout: Project) -> None:
    """The lines of the steps stay, the sum follows, and no JSON line is between them."""
    terminal.start(checkout, "run", "recipes/basic_mixed.yaml")

    screen = terminal.finish()

    assert [line.split()[2] for line in lines_with(screen, "ok")] == [
        "sanitize",
        "load",
        "normalize",
        "describe",
        "report",
    ]
    assert "basic_mixed.yaml  MIX-001  run " in screen
    assert "completed: 5 ok in " in screen
    assert "status 0" in screen
    assert "{" not in screen


def test_the_running_step_is_shown(terminal: Terminal, held: Project) -> None:
    """While a step is at work, a line below the others names it; it goes when the run ends."""
    terminal.start(held, "run", "recipe.yaml")
    read_pipe(held.folder / "ready")
    running = until(terminal, lambda screen: re.search(r"held \d+\.\d", screen) is not None)

    (held.folder / "go").write_text("go")
    ended = terminal.finish()

    assert re.search(r" 0/1  \d+\.\d", running)
    assert re.search(r" …     held \d+\.\d", running)
    assert "0/1" not in ended
    assert [line.split()[2] for line in lines_with(ended, "ok")] == ["held"]


def test_control_c_interrupts(terminal: Terminal, held: Project) -> None:
    """The key reaches the runner, which stops the step and says how to go on."""
    terminal.start(held, "run", "recipe.yaml")
    read_pipe(held.folder / "ready")

    terminal.press("C-c")
    screen = terminal.finish()

    assert "status 130" in screen
    assert "= go on with:  matterstack resume " in screen
    assert [row["status"] for row in held.call("attempts", "@last", "held").table] == ["CANCELLED"]


def test_tables_are_aligned(terminal: Terminal, checkout: Project) -> None:
    """On a terminal a reading command draws a table."""
    checkout.call("run", "recipes/median.yaml")
    terminal.start(checkout, "status")

    screen = terminal.finish()

    assert "task            status     attempts    duration\n" in screen
    assert lines_with(screen, "compute_median")[0].split()[:3] == ["compute_median", "COMPLETED", "1"]
