"""A run is shown as one line for each thing that happens, as a person at a terminal or a log wants it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.cli.live import LiveReporter, choose_reporter
from orchestrator.cli.reporters import PlainReporter
from orchestrator.errors import Place, Problem
from orchestrator.progress import Happening, RunBegun, RunLeftBehind, RunSettled, Silence, TaskEnded, TaskStarted
from orchestrator.states import RunState, TaskState
from tests.unit.cli.program import Terminal

ROOT = Path("/runs/20260102_030405_0a1b2c3d")
BEGUN = RunBegun(
    run_id=ROOT.name,
    run_root=ROOT,
    recipe_name="r.yaml",
    test_id="",
    task_ids=("load", "relax"),
    done_before=0,
    waiting=("load", "relax"),
)
PROBLEM = Problem("MS302", "relax: too hot", Place("r.yaml", 3, 5, "    hot: 1", 3), "cool it")


def ended(status: TaskState, reason: str = "", *, task_id: str = "relax", position: int = 1) -> TaskEnded:
    """Give the end of a task that took a moment."""
    return TaskEnded(position=position, task_id=task_id, status=status, reason=reason, duration_sec=0.126)


def failed(reason: str = "too hot", stderr: str = "", problem: Problem = PROBLEM) -> TaskEnded:
    """Give a failure whose place in the recipe is known."""
    return TaskEnded(
        position=1,
        task_id="relax",
        status=TaskState.FAILED,
        reason=reason,
        duration_sec=1.5,
        stderr=stderr,
        problem=problem,
    )


def settled(status: RunState, root: Path = ROOT) -> RunSettled:
    """Give the end of a run."""
    return RunSettled(run_id=root.name, run_root=root, status=status, reason="")


@pytest.fixture(name="lines")
def _lines(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Tell a plain reporter what happened after the run began, and give the lines that it writes then."""

    def lines(*happenings: Happening) -> list[str]:
        reporter = PlainReporter()
        reporter.tell(BEGUN)
        capsys.readouterr()
        for happening in happenings:
            reporter.tell(happening)
        said = capsys.readouterr()
        assert said.out == ""
        return said.err.splitlines()

    return lines


@pytest.mark.parametrize(
    ("begun", "line"),
    [
        (BEGUN, "r.yaml  run 20260102_030405_0a1b2c3d  (2 steps)"),
        (
            RunBegun(run_id="r1", run_root=ROOT, recipe_name="r.yaml", test_id="CAT-1", task_ids=("a",), done_before=0),
            "r.yaml  CAT-1  run r1  (1 step)",
        ),
        (
            RunBegun(run_id="r1", run_root=ROOT, recipe_name="r.yaml", test_id="", task_ids=("a", "b"), done_before=1),
            "r.yaml  run r1  (2 steps, going on after 1)",
        ),
        (
            RunBegun(
                run_id="r1", run_root=ROOT, recipe_name="r.yaml", test_id="\x1b]0;x\x07", task_ids=(), done_before=0
            ),
            "r.yaml  \\x1b]0;x\\x07  run r1  (0 steps)",
        ),
    ],
)
def test_a_run_begins_with_a_line(capsys: pytest.CaptureFixture[str], begun: RunBegun, line: str) -> None:
    """It names the recipe, its test id, the run, and how much there is to do."""
    PlainReporter().tell(begun)

    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    ("happening", "line"),
    [
        (
            TaskEnded(
                position=0, task_id="load", status=TaskState.COMPLETED, duration_sec=0.126, outputs=("a.x_v1", "b_v1")
            ),
            " ok      1 load     0.13s  a.x_v1, b_v1",
        ),
        (ended(TaskState.COMPLETED), " ok      2 relax    0.13s  "),
        (ended(TaskState.FAILED, "too hot"), " FAIL    2 relax    0.13s  too hot"),
        (
            TaskEnded(position=1, task_id="relax", status=TaskState.SKIPPED, reason="when: 1 > 2 is false"),
            " skip    2 relax           when: 1 > 2 is false",
        ),
        (
            TaskEnded(position=1, task_id="relax", status=TaskState.BLOCKED, reason="needs load"),
            " block   2 relax           needs load",
        ),
        (
            TaskEnded(
                position=1,
                task_id="relax",
                status=TaskState.PENDING,
                reason="too hot",
                duration_sec=1.0,
                retry_in_sec=90.0,
            ),
            " retry   2 relax    1.00s  too hot; next attempt in 1m30s",
        ),
        (ended(TaskState.PENDING, "interrupted"), " stop    2 relax    0.13s  interrupted"),
        (
            TaskEnded(
                position=1, task_id="relax", status=TaskState.FAILED, reason="too hot", duration_sec=1.0, allowed=True
            ),
            " allow   2 relax    1.00s  too hot",
        ),
        (ended(TaskState.FAILED, "one\ntwo\x1b[2J\r"), " FAIL    2 relax    0.13s  one two\\x1b[2J\\r"),
    ],
)
def test_a_task_ends_with_a_line(lines: Callable[..., list[str]], happening: TaskEnded, line: str) -> None:
    """A word, its place in the list, its name, how long it took, and what it wrote or why it did not."""
    assert lines(happening) == [line]


def test_the_beginning_of_a_task_has_no_line(lines: Callable[..., list[str]]) -> None:
    """A log tells what came of it."""
    assert lines(TaskStarted(position=0, task_id="load", attempt_index=1)) == []


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (RunState.COMPLETED, "completed: 1 ok in 0.00s   /runs/20260102_030405_0a1b2c3d"),
        (RunState.FAILED, "failed: 1 ok in 0.00s   /runs/20260102_030405_0a1b2c3d"),
    ],
)
def test_a_run_ends_with_a_line(lines: Callable[..., list[str]], status: RunState, line: str) -> None:
    """The tasks are counted, and the run's directory is named."""
    last = lines(ended(TaskState.COMPLETED), settled(status))[-1]

    assert last.partition(" in ")[0] == line.partition(" in ")[0]
    assert last.endswith(f"   {ROOT}")


def test_tasks_are_counted_by_what_became_of_them(lines: Callable[..., list[str]]) -> None:
    """A retry is not yet anything."""
    retry = ended(TaskState.PENDING)
    happenings = [retry, ended(TaskState.COMPLETED), ended(TaskState.COMPLETED), ended(TaskState.SKIPPED)]

    assert lines(*happenings, settled(RunState.COMPLETED))[-1].startswith("completed: 2 ok, 1 skip in ")


def test_a_run_without_work_says_so(lines: Callable[..., list[str]]) -> None:
    """All was done before."""
    assert lines(settled(RunState.COMPLETED))[-1].startswith("completed: nothing to do in ")


def test_an_interrupted_run_says_how_to_go_on(lines: Callable[..., list[str]]) -> None:
    """With a command to type."""
    first, second = lines(settled(RunState.PENDING))

    assert first.startswith("interrupted: ")
    assert second == "  = go on with:  matterstack resume 20260102_030405_0a1b2c3d"


def test_a_run_below_the_current_directory_is_named_from_there(
    lines: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is shorter, and can be typed."""
    monkeypatch.chdir(tmp_path)

    assert lines(settled(RunState.COMPLETED, tmp_path / "runs" / "r1"))[-1].endswith("   runs/r1")


def test_a_failure_is_explained_at_the_end(lines: Callable[..., list[str]]) -> None:
    """With its place in the recipe and the last lines of its log."""
    log = "".join(f"line {number}\n" for number in range(1, 11))

    shown = lines(failed(stderr=log), settled(RunState.FAILED))

    assert [line.split()[-2:] for line in shown[-2:]] == [[ROOT.name, "relax"], ["retry", ROOT.name]]
    assert shown[1:-3] == [
        "r.yaml:3:5: error[MS302]: relax: too hot",
        "    3 |     hot: 1",
        "      |     ^^^",
        "      = help: cool it",
        "  = its last lines on standard error:",
        *(f"  |   line {number}" for number in range(3, 11)),
    ]


def test_what_an_operator_has_carried_out_is_not_replayed(lines: Callable[..., list[str]]) -> None:
    """A measurement or an answer can only be asked for again."""
    away = TaskEnded(position=1, task_id="relax", status=TaskState.FAILED, problem=PROBLEM, is_away=True)

    shown = lines(away, settled(RunState.FAILED))

    assert shown[-2] == f"  = that step alone:  matterstack rerun {ROOT.name} relax"


def test_a_failure_that_is_retried_or_allowed_is_not_explained(lines: Callable[..., list[str]]) -> None:
    """What came after it counts."""
    retried = TaskEnded(position=1, task_id="relax", status=TaskState.PENDING, retry_in_sec=0.0, problem=PROBLEM)
    allowed = TaskEnded(position=1, task_id="relax", status=TaskState.FAILED, allowed=True, problem=PROBLEM)

    assert len(lines(retried, allowed, settled(RunState.COMPLETED))) == 3


def test_nothing_of_a_failure_speaks_to_the_terminal(lines: Callable[..., list[str]]) -> None:
    """Neither its log nor its message."""
    problem = Problem("MS301", "relax: \x1b[2Jgone\x07")

    shown = lines(failed(stderr="\x1b]0;title\x07\rtext\u202e", problem=problem), settled(RunState.FAILED))

    assert shown[1] == "error[MS301]: relax: \\x1b[2Jgone\\x07"
    assert shown[3] == "  |   \\x1b]0;title\\x07"
    assert shown[4] == "  |   text\\u202e"


def test_the_names_of_tasks_stand_in_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as the longest, within reason."""
    reporter = PlainReporter()
    names = ("a", "x" * 60)
    reporter.tell(RunBegun(run_id="r1", run_root=ROOT, recipe_name="r.yaml", test_id="", task_ids=names, done_before=0))
    capsys.readouterr()

    reporter.tell(ended(TaskState.COMPLETED, task_id="a", position=0))

    assert capsys.readouterr().err == f" ok      1 a{' ' * 39}    0.13s  \n"


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the result is left."""
    reporter = choose_reporter(quiet=True)

    reporter.tell(BEGUN)

    assert isinstance(reporter, Silence)
    assert capsys.readouterr().err == ""


def test_a_log_gets_plain_lines() -> None:
    """What is written there stays."""
    assert type(choose_reporter(quiet=False)) is PlainReporter


@pytest.mark.parametrize(("kind", "expected"), [("xterm", LiveReporter), ("dumb", PlainReporter)])
def test_a_terminal_gets_a_live_line_if_it_can(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, kind: str, expected: type[PlainReporter]
) -> None:
    """A dumb one cannot take lines back."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("TERM", kind)

    assert type(choose_reporter(quiet=False)) is expected


@pytest.mark.parametrize(
    ("is_terminal", "environment", "is_coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,
    environment: dict[str, str],
    is_coloured: bool,
) -> None:
    """NO_COLOR goes before FORCE_COLOR, and both before a guess."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if is_terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)

    PlainReporter().tell(ended(TaskState.COMPLETED))

    text = terminal.read() if is_terminal else capsys.readouterr().err
    assert ("\x1b[32m" in text, "ok" in text) == (is_coloured, True)


def drawn(reporter: LiveReporter) -> str:
    """Give the lines that change, without their colours."""
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(reporter.progress.shown())
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def test_a_terminal_shows_the_running_step(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the lines of those that have ended, with its time; nothing of that stays."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    reporter = LiveReporter()

    reporter.tell(BEGUN)
    reporter.tell(TaskStarted(position=0, task_id="load", attempt_index=1))
    running = drawn(reporter)
    reporter.tell(ended(TaskState.COMPLETED, task_id="load", position=0))
    between = drawn(reporter)
    reporter.tell(settled(RunState.COMPLETED))

    assert re.fullmatch(r"[ ━╸╺]{26}0/2  0\.0\ds\n …     load 0\.0\ds\n", running)
    assert re.fullmatch(r" ━{12}[ ━╸╺]{13}1/2  0\.0\ds\n …     saving\n", between)
    assert "completed" in terminal.read().splitlines()[-1]


def test_a_terminal_shows_the_same_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they are, and whatever stands in them."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("NO_COLOR", "1")
    reporter = LiveReporter()

    reporter.tell(BEGUN)
    reporter.tell(ended(TaskState.FAILED, "[bold]too[/bold] hot " * 20))
    reporter.tell(settled(RunState.FAILED))

    assert f" FAIL    2 relax    0.13s  {'[bold]too[/bold] hot ' * 20}"[:-1] in terminal.read()


def test_a_terminal_gets_its_cursor_back(terminal: Terminal) -> None:
    """Also when the program ends in the midst of a run."""
    program = """
        from pathlib import Path
        from orchestrator.cli.live import LiveReporter
        from orchestrator.progress import RunBegun
        root = Path("/runs/r1")
        LiveReporter().tell(
            RunBegun(run_id="r1", run_root=root, recipe_name="r.yaml", test_id="", task_ids=(), done_before=0)
        )
        raise SystemExit(3)
    """

    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], stderr=terminal.stream, env=dict(os.environ), check=False
    )

    text = terminal.read()
    assert ran.returncode == 3
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("status", "verb"), [(RunState.PAUSED, "resume"), (RunState.CANCELLED, "revive"), (RunState.PENDING, "resume")]
)
def test_a_run_that_can_go_on_says_how(lines: Callable[..., list[str]], status: RunState, verb: str) -> None:
    """And why it does not."""
    told = lines(RunSettled(run_id="r1", run_root=Path("/r1"), status=status, reason="paused by ada"))

    assert told[-1] == f"  = go on with:  matterstack {verb} r1"


def test_what_is_done_last_and_waits_is_told_of(lines: Callable[..., list[str]]) -> None:
    """Whoever interrupted the run may have counted on it."""
    settled = RunSettled(
        run_id="r1",
        run_root=Path("/r1"),
        status=RunState.PENDING,
        reason="interrupted by SIGINT",
        goes_on=("measure",),
        has_last_to_do=True,
    )

    told = lines(settled)

    assert told[-3:-1] == [
        "  = without this runner go on:  measure",
        "  = not done yet:  finally, which waits until they have ended and the run goes on",
    ]


def test_a_paused_run_of_the_same_recipe_is_named(lines: Callable[..., list[str]]) -> None:
    """The one that begins is another."""
    assert lines(RunLeftBehind(run_id="r1", status=RunState.PAUSED)) == [
        "note: run r1 is paused; this is another",
        "  = go on with it:  matterstack resume r1",
    ]
