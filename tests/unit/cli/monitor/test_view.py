"""What the view draws from what was read, in windows of any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from orchestrator.cli.monitor import view
from orchestrator.cli.monitor.reading import Choice, OperatorLine, RunGlance, RunLine
from orchestrator.cli.monitor.view import Heights
from orchestrator.states import RunState, TaskState
from orchestrator.store.glances import TaskLine
from orchestrator.store.queries import RunRow

NOW = "2026-11-28T10:01:05.000000Z"
RUN = RunRow(
    run_id="20261128_100000_0000abcd",
    workspace_slug="demos/heat",
    recipe_name="heat.yaml",
    status=RunState.RUNNING,
    status_reason="",
    created_at="2026-11-28T10:00:00.000000Z",
    ended_at=None,
)
RUNS = TaskLine(
    position=0,
    task_id="relax[Cu]",
    status=TaskState.RUNNING,
    status_reason="",
    attempt_count=2,
    operator_key="hpc.default",
    started_at="2026-11-28T10:01:00.000000Z",
)
FAILED = TaskLine(
    position=1, task_id="melt", status=TaskState.FAILED, status_reason="exit 3", attempt_count=1, duration_sec=2.5
)
GLANCE = RunGlance(
    root=Path("/runs/20261128_100000_0000abcd"),
    run=RUN,
    driven=True,
    counts={TaskState.RUNNING: 1, TaskState.FAILED: 1},
    choice=Choice(position=1, index=1),
    positions=(0, 1),
    rows=(RUNS, FAILED),
    items={},
    operators=(OperatorLine(key="hpc.default", kind="slurm", running=1, waiting=3, max_concurrent=200),),
    findings=("melt failed: exit 3", "= mend it"),
    log=("one", "two", "three"),
)
PARTS = Heights(tasks=2, operators=1, frontier=2, log=2)


def drawn(glance: RunGlance, width: int = 80, parts: Heights = PARTS) -> list[str]:
    """Draw a run and give the lines without blanks at their ends."""
    return [line.plain.rstrip() for line in view.run_screen(glance, parts, width=width, now=NOW)]


def test_a_run_is_drawn() -> None:
    """Header, tasks, operators, frontier, and the end of the chosen task's log."""
    assert drawn(GLANCE) == [
        "20261128_100000_0000abcd  heat.yaml  demos/heat",
        "RUNNING, driven  1m05s  1/2: 1 running, 1 failed",
        "── tasks 1-2 of 2, loud first ──────────────────────────────────────────────────",
        "  relax[Cu]  running    #2     hpc.default  5.00s",
        "> melt       failed     #1                  2.50s    exit 3",
        "── operators ───────────────────────────────────────────────────────────────────",
        "  hpc.default (slurm): 1 running, 3 waiting, at most 200 at once",
        "── frontier ────────────────────────────────────────────────────────────────────",
        "  melt failed: exit 3",
        "  = mend it",
        "── log of melt ─────────────────────────────────────────────────────────────────",
        "two",
        "three",
    ]


def test_a_run_whose_runner_stopped_says_so() -> None:
    """And one that has ended does not."""
    ended = replace(GLANCE, driven=False, run=replace(RUN, status=RunState.FAILED, status_reason="melt: exit 3"))

    assert drawn(replace(GLANCE, driven=False))[1].startswith("RUNNING, runner stopped  ")
    assert drawn(ended)[1] == "FAILED  1m05s  1/2: 1 running, 1 failed  melt: exit 3"


HOSTILE = "\x1b[2J\x9b31m[red]\u202e\ud800\n\t日本語"


@pytest.mark.parametrize("width", [20, 21, 40, 79, 80, 200])
def test_hostile_texts_are_shown_harmlessly(width: int) -> None:
    """Whatever they hold, they are no wider than the window, and nothing in them speaks to the terminal."""
    task = replace(FAILED, task_id=HOSTILE, status_reason=HOSTILE, operator_key=HOSTILE)
    run = replace(RUN, recipe_name=HOSTILE, status_reason=HOSTILE)
    glance = replace(GLANCE, rows=(RUNS, task), run=run, findings=(HOSTILE, HOSTILE), log=(HOSTILE, HOSTILE))

    lines = view.run_screen(glance, PARTS, width=width, now=NOW)

    assert all(line.plain.isprintable() for line in lines)
    assert all(cell_len(line.plain) <= width for line in lines)
    assert [
        span for line in lines for span in line.spans if "red" in str(span.style) and span.style != "bold red"
    ] == []


def test_a_log_is_folded_and_not_cut() -> None:
    """At the width of the window, also where letters are wide."""
    assert [line.plain for line in view.folded(["abcdef", "日本語", "", "x"], 4)] == [
        "abcd",
        "ef",
        "日本",
        "語",
        "",
        "x",
    ]


@pytest.mark.parametrize(
    ("height", "shares"),
    [
        (24, Heights(tasks=7, operators=3, frontier=4, log=3)),
        (40, Heights(tasks=18, operators=3, frontier=6, log=6)),
        (10, Heights(tasks=3, operators=0, frontier=2, log=0)),
        (6, Heights(tasks=2, operators=0, frontier=0, log=0)),
    ],
)
def test_parts_share_the_window(height: int, shares: Heights) -> None:
    """Where it is low, what matters less is left out."""
    found = view.heights(height, Heights(tasks=10_000, operators=3, frontier=9, log=2000))

    titles = sum(1 for name in ("tasks", "operators", "frontier", "log") if getattr(found, name))
    assert found.tasks + found.operators + found.frontier + found.log + titles + 3 <= height
    assert found == shares


def test_a_long_frontier_keeps_what_to_do() -> None:
    """And counts what it leaves out."""
    glance = replace(GLANCE, findings=("a", "b", "c", "d", "= resume"))

    assert drawn(glance, parts=replace(PARTS, frontier=3))[8:11] == ["  a", "  and 3 more", "  = resume"]


def test_runs_are_drawn() -> None:
    """One that nobody drives is stopped, one that cannot be read says why, and one is still to be read."""
    root = GLANCE.root
    lines = [
        RunLine(root=root, run=RUN, driven=True, counts={TaskState.COMPLETED: 1, TaskState.PENDING: 2}),
        RunLine(root=root, run=RUN),
        RunLine(root=root, fault="it is empty"),
        RunLine(root=root),
    ]

    shown = [line.plain.rstrip() for line in view.runs_screen(lines, 1, 0, width=100, height=6, now=NOW)]

    assert shown == [
        "4 runs, 2 active",
        "  run                       state      tasks        took      recipe, workspace",
        "  20261128_100000_0000abcd  running    1/3          1m05s     heat.yaml  demos/heat",
        "> 20261128_100000_0000abcd  stopped    0/0          1m05s     heat.yaml  demos/heat",
        "  20261128_100000_0000abcd  unreadab…                         it is empty",
        "  20261128_100000_0000abcd  …",
    ]
