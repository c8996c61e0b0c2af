"""A terminal shows how far a run is and how long it will take, also when it has very many tasks."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.cli.live import LiveReporter, Progress
from orchestrator.pace import Pace, earlier_pace
from orchestrator.progress import Happening, RunBegun, TaskEnded, TasksAdded, TaskSeen, TaskStarted
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.database import FILE_NAME, open_database
from tests.unit.cli.program import Terminal
from tests.unit.workshop import Workshop, recipe, shell

LONG = 1_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def begun(*waiting: str, ended: int = 0) -> RunBegun:
    """Give the beginning of a run with tasks to do."""
    return RunBegun(
        run_id="r1",
        run_root=Path("/runs/r1"),
        recipe_name="r.yaml",
        test_id="",
        task_ids=waiting,
        done_before=0,
        waiting=waiting,
        ended=ended,
    )


def start(task_id: str) -> TaskStarted:
    """Give the beginning of an attempt."""
    return TaskStarted(position=0, task_id=task_id, attempt_index=1)


def end(task_id: str, sec: float = 1.0, status: TaskState = TaskState.COMPLETED) -> TaskEnded:
    """Give the end of an attempt."""
    return TaskEnded(position=0, task_id=task_id, status=status, duration_sec=sec)


def earlier(tasks: dict[str, float], share: float | None = 1.0) -> Pace:
    """Give the pace of an earlier run."""
    pace = Pace(share=share)
    for task_id, sec in tasks.items():
        pace.took_before(task_id, sec)
    return pace


def followed(pace: Pace, *happenings: tuple[float, Happening]) -> Progress:
    """Tell what happened, each at so many seconds after the beginning."""
    clock = Clock()
    progress = Progress(pace, clock)
    for after, happening in happenings:
        clock.now = 100.0 + after
        progress.tell(happening)
    return progress


def lines(progress: Progress) -> list[str]:
    """Give what is drawn, without the bar."""
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(progress.shown())
    return [line.strip(" ━╸╺") for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("happenings", "left"),
    [
        ([(0, begun("a", "b"))], 30.0),
        ([(0, begun("a", "b")), (0, start("a")), (4, end("x"))], 26.0),
        ([(0, begun("a", "b")), (0, start("a")), (50, end("x"))], 20.0),
        ([(0, begun("a", "b")), (0, start("a")), (9, end("a", 9))], 20.0),
        ([(0, begun("a", "b")), (0, end("a", 3, TaskState.PENDING))], 30.0),
        ([(0, begun("b", ended=1))], 20.0),
    ],
)
def test_an_earlier_run_tells_what_is_left(happenings: Sequence[tuple[float, Happening]], left: float) -> None:
    """What runs is taken away as far as it was expected to take so long."""
    assert followed(earlier({"a": 10.0, "b": 20.0}), *happenings).left_sec() == pytest.approx(left)


def test_what_ran_side_by_side_takes_less(workshop: Workshop) -> None:
    """The share of an earlier run says how much less."""
    progress = followed(earlier({"a": 10.0, "b": 10.0}, share=0.5), (0, begun("a", "b")))

    assert progress.left_sec() == pytest.approx(10.0)


def test_a_fan_out_takes_what_its_items_took() -> None:
    """Before and after it becomes tasks, also where there are more than there were."""
    pace = earlier({"f[a]": 4.0, "f[b]": 6.0})
    items = TasksAdded(parent="f", task_ids=("f[a]", "f[b]", "f[c]"))

    assert followed(pace, (0, begun("f"))).left_sec() == pytest.approx(10.0)
    assert followed(pace, (0, begun("f")), (0, items)).left_sec() == pytest.approx(15.0)


def test_the_run_itself_tells_where_no_other_does() -> None:
    """Its items are like one another; of steps nothing is known."""
    items = TasksAdded(parent="f", task_ids=tuple(f"f[{number}]" for number in range(10)))
    before: list[tuple[float, Happening]] = [(0.0, begun("f")), (0.0, items), (0.0, start("f[0]"))]

    assert followed(Pace(), *before).left_sec() is None
    assert followed(Pace(), *before, (2.0, end("f[0]", 2.0))).left_sec() == pytest.approx(18.0)
    assert followed(Pace(), (0, begun("f", "g")), (0, items), (2, end("f[0]", 2.0))).left_sec() is None


def test_running_tasks_are_named_and_counted() -> None:
    """Three by name, the others by number; the total grows with a fan-out."""
    items = TasksAdded(parent="f", task_ids=("f[a]", "f[b]", "f[c]", "f[d]", "f[e]"))
    starts = [(1.0, start(task_id)) for task_id in items.task_ids]

    assert lines(followed(Pace(), (0, begun("f")), (0, items), *starts)) == [
        "0/6  1.00s",
        "…     f[a] 0.00s, f[b] 0.00s, f[c] 0.00s, and 2 more",
    ]


def say_that_it_took(run_root: Path, task_id: str, sec: float, start: str, end: str) -> None:
    """Let the records of a run say how long its one attempt at a task took, and when."""
    database = open_database(run_root / FILE_NAME)
    with database.transaction():
        database.write(
            "UPDATE task_attempts SET duration_sec = ?, created_at = ?, ended_at = ?"
            " WHERE task_position = (SELECT position FROM tasks WHERE task_id = ?)",
            (sec, start, end, task_id),
        )
    database.close()


@pytest.mark.parametrize(
    ("sec", "shown"), [(0.2, "1s"), (59.4, "59s"), (59.6, "1m"), (150, "2m"), (3599, "1h00m"), (7_500, "2h05m")]
)
def test_a_guess_is_not_given_too_precisely(sec: float, shown: str) -> None:
    """Seconds below a minute, then minutes."""
    assert lines(followed(earlier({"a": sec}), (0, begun("a"))))[0] == f"0/1  0.00s, about {shown} left"


@pytest.mark.parametrize(
    ("state", "note", "shown"),
    [
        (AttemptState.QUEUED, "Priority", "a QUEUED (Priority) 9.00s"),
        (AttemptState.QUEUED, "", "a QUEUED 9.00s"),
        (AttemptState.UNKNOWN, "alpha cannot be reached: connection refused", "a UNKNOWN 9.00s"),
        (AttemptState.RUNNING, "", "a 9.00s"),
        (AttemptState.RUNNING, "suspended", "a RUNNING (suspended) 9.00s"),
    ],
)
def test_it_is_shown_where_an_attempt_of_an_operator_stands(state: AttemptState, note: str, shown: str) -> None:
    """With a note that is short; that it runs is understood."""
    seen = TaskSeen(task_id="a", state=state, note=note)

    assert lines(followed(Pace(), (0, begun("a")), (0, start("a")), (4, seen), (9, start("b"))))[1].startswith(
        f"…     {shown}, b"
    )


def test_an_attempt_that_was_taken_over_is_shown() -> None:
    """It began before the runner, which sees where it stands; once it has ended it is shown no more."""
    seen = TaskSeen(task_id="a", state=AttemptState.QUEUED, note="Priority")
    happenings: list[tuple[float, Happening]] = [(0.0, begun("a", "b")), (1.0, seen), (3.0, start("b"))]

    assert lines(followed(Pace(), *happenings))[1] == "…     a QUEUED (Priority) 2.00s, b 0.00s"
    assert lines(followed(Pace(), *happenings, (4.0, end("a")), (5.0, start("a"))))[1] == "…     b 2.00s, a 0.00s"


def test_the_pace_is_that_of_the_newest_run_that_completed(workshop: Workshop) -> None:
    """A failed one tells nothing, nor one after it. Its share is the time on the clock for each second of work."""
    steps = [shell("a", "true", "stdout: free"), shell("b", "test -f ok", "stdout: free")]
    workshop.write("ok", "")
    good = workshop.run(recipe(*steps))
    (workshop.folder / "ok").unlink()
    failed = workshop.run(recipe(*steps))
    say_that_it_took(good.root, "a", 4.0, "2026-01-02T03:04:00Z", "2026-01-02T03:04:05Z")
    say_that_it_took(good.root, "b", 6.0, "2026-01-02T03:04:05Z", "2026-01-02T03:04:20Z")

    pace = earlier_pace(failed.root)

    assert pace.tasks == {"a": 4.0, "b": 6.0}
    assert pace.share == pytest.approx(2.0)
    assert earlier_pace(good.root).tasks == {}


def test_many_good_ends_have_no_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went otherwise has one, however late it comes."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("NO_COLOR", "1")
    reporter = LiveReporter()
    reporter.tell(begun("f"))
    reporter.tell(TasksAdded(parent="f", task_ids=tuple(f"f[{number}]" for number in range(LONG))))
    for number in range(LONG - 1):
        reporter.tell(end(f"f[{number}]"))
    reporter.tell(end(f"f[{LONG - 1}]", status=TaskState.FAILED))

    text = terminal.read()

    assert text.count(" ok ") == 50
    assert "further good ends of this step are only counted" in text
    assert f"f[{LONG - 1}]" in text
