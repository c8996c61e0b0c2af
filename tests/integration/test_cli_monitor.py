"""What a person sees and does in the live view, in a real terminal, while a run is driven and when it is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Project, finish
from tests.integration.window import Terminal, until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

ASKING = """\
steps:
  - { name: weigh, type: shell, run: "echo weighed >&2", stdout: free }
  - { name: gate, type: human, instructions: "Is the sample good?\\nLook at the [bold]picture[/bold] first." }
  - { name: melt, type: shell, run: "echo hot", stdout: free }
"""


@pytest.fixture(name="terminal")
def _terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "tmux", size=(80, 24))
    yield terminal
    terminal.close()


@pytest.fixture(name="asking")
def _asking(project: Project) -> Project:
    """Make a project with a run that has stopped at a question."""
    project.write("recipe.yaml", ASKING)
    run_id = project.call("init", "recipe.yaml").stdout.split()[-1]
    assert project.call("step", run_id).status == 5
    return project


def statuses(project: Project) -> dict[str, str]:
    """Give the state of each task of the last run."""
    tasks = json.loads(project.call("status", "--json").stdout)["tasks"]
    return {task["task_id"]: task["status"] for task in tasks}


def test_a_run_that_nobody_drives_is_shown(terminal: Terminal, asking: Project) -> None:
    """With its tasks, its operators, what keeps it from its end, and nothing taken for markup."""
    terminal.start(asking, "monitor", "@last")

    screen = until(terminal, lambda screen: "gate asks:" in screen)

    assert "> gate   " in screen
    assert "human.default (human): 0 running, 1 waiting" in screen
    assert "gate asks: Is the sample good? (a approves, x rejects)" in screen
    assert "1 task: waits for its turn" in screen
    assert "= go on with: matterstack resume " in screen
    assert asking.call("status").status == 0


def test_a_question_is_answered_while_a_runner_waits(terminal: Terminal, asking: Project) -> None:
    """The instructions are shown, ``y`` approves, and the run goes on to its end before one's eyes."""
    runner = asking.start("loop", asking.run_folders()[-1].name)
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: ", driven" in screen and "gate asks:" in screen)

    terminal.press("a")
    asked = until(terminal, lambda screen: "approve gate? y yes   n no" in screen)
    terminal.press("y")
    until(terminal, lambda screen: "COMPLETED" in screen and "3/3: 3 completed" in screen)
    terminal.press("q")

    assert "Look at the [bold]picture[/bold] first." in asked
    assert "status 0" in terminal.finish()
    assert finish(runner).status == 0


def test_a_question_is_left_open_by_no(terminal: Terminal, asking: Project) -> None:
    """Neither a first key nor a wrong one answers."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    terminal.press("x")
    until(terminal, lambda screen: "reject gate?" in screen)
    terminal.press("n")
    until(terminal, lambda screen: "gate asks:" in screen)

    assert list(asking.run_folders()[-1].glob("tasks/*/attempts/*/response.json")) == []


def test_a_rejection_has_a_reason(terminal: Terminal, asking: Project) -> None:
    """It is typed before the answer is given, and mended as it is typed."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    terminal.press("x")
    until(terminal, lambda screen: "reject gate?" in screen)
    terminal.press("y", "t", "o", "o", "Space", "h", "o", "y", "BSpace", "t")
    until(terminal, lambda screen: "why? too hot_" in screen)
    terminal.press("Enter")
    until(terminal, lambda screen: "gate: rejected, in response.json" in screen)

    (path,) = asking.run_folders()[-1].glob("tasks/*/attempts/*/response.json")
    assert json.loads(path.read_text())["error"].endswith(": too hot")


def test_what_is_asked_of_a_run_is_recorded_and_nothing_else(terminal: Terminal, asking: Project) -> None:
    """Where nobody drives the run, it stays as it is, and the command is named that brings it about."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    terminal.press("c")
    until(terminal, lambda screen: screen.rstrip().endswith("y yes   n no"))
    terminal.press("y", "Enter")
    screen = until(terminal, lambda screen: "asked: cancel." in screen)

    assert " has asked: cancel" in screen
    assert statuses(asking)["gate"] == "WAITING_EXTERNAL"


def test_a_driven_run_is_paused(terminal: Terminal, asking: Project) -> None:
    """Its runner takes note, and ends."""
    runner = asking.start("loop", asking.run_folders()[-1].name)
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: ", driven" in screen)

    terminal.press("p", "y", "Enter")
    until(terminal, lambda screen: "PAUSED" in screen)

    assert finish(runner).status == 5


def test_all_runs_are_listed_and_one_is_opened(terminal: Terminal, asking: Project) -> None:
    """Those that have not ended stand first; Escape leads back to the list, also from a run that was named."""
    asking.write("done.yaml", "steps: [{name: only, type: shell, run: 'echo done >&2', stdout: free}]\n")
    asking.call("run", "done.yaml")
    terminal.start(asking, "monitor")

    listed = until(terminal, lambda screen: "2 runs, 1 active" in screen and "completed" in screen)
    terminal.press("Down")
    until(terminal, lambda screen: [line[:1] for line in screen.splitlines()[2:4]] == [" ", ">"])
    terminal.press("Enter")
    until(terminal, lambda screen: "log of only" in screen)
    terminal.press("Enter")
    until(terminal, lambda screen: ", following" in screen and screen.splitlines()[1] == "done")
    terminal.press("Escape")
    until(terminal, lambda screen: "1/1: 1 completed" in screen)
    terminal.press("Escape")
    until(terminal, lambda screen: "2 runs, 1 active" in screen)

    assert [line.split()[-2] for line in listed.splitlines()[2:4]] == ["recipe.yaml", "done.yaml"]


def test_the_window_may_change_its_size(terminal: Terminal, asking: Project) -> None:
    """What does not fit is left out, and comes back."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    terminal.resize(30, 8)
    small = until(terminal, lambda screen: "gate asks:" not in screen and "> gate" in screen)
    terminal.resize(100, 30)
    until(terminal, lambda screen: "(a approves, x rejects)" in screen)

    assert max(map(len, small.splitlines())) <= 30


def test_control_c_leaves_the_terminal_as_it_was(terminal: Terminal, asking: Project) -> None:
    """The other screen is gone, the cursor is there, and what is typed shows again."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)
    assert terminal.ask("#{alternate_on} #{cursor_flag}") == "1 0"

    terminal.press("C-c")
    terminal.finish()
    terminal.press("h", "i")
    screen = until(terminal, lambda screen: "hi" in screen)

    assert "status 130" in screen
    assert terminal.ask("#{alternate_on} #{cursor_flag}") == "0 1"


def test_sigterm_leaves_the_terminal_as_it_was(terminal: Terminal, asking: Project) -> None:
    """As any end does."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    (pid,) = children(int(terminal.ask("#{pane_pid}")))
    os.kill(pid, signal.SIGTERM)

    assert "status 143" in terminal.finish()
    assert terminal.ask("#{alternate_on} #{cursor_flag}") == "0 1"


def test_a_run_that_is_damaged_meanwhile_is_told(terminal: Terminal, asking: Project) -> None:
    """The view stays, says why there is nothing to see, and can be left."""
    terminal.start(asking, "monitor", "@last")
    until(terminal, lambda screen: "gate asks:" in screen)

    (asking.run_folders()[-1] / "state.sqlite").write_bytes(b"")
    until(terminal, lambda screen: "the state file is empty" in screen)
    terminal.press("q")

    assert "status 0" in terminal.finish()


def test_without_colours_the_chosen_line_is_marked(terminal: Terminal, asking: Project) -> None:
    """``NO_COLOR`` is a wish about colours alone."""
    terminal.start(asking, "monitor", "@last", env={"NO_COLOR": "1"})

    assert "> gate" in until(terminal, lambda screen: "gate asks:" in screen)


def test_without_a_terminal_it_is_refused(asking: Project) -> None:
    """With the command that tells the same anywhere."""
    piped = asking.call("monitor", "@last")

    assert (piped.status, piped.stdout) == (2, "")
    assert "monitor needs a terminal on which it can draw" in piped.stderr
    assert "= help: elsewhere use: matterstack status" in piped.stderr


def children(pid: int) -> list[int]:
    """Give the processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], check=True, capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]
