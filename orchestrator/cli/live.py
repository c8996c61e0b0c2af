"""Show a run on a terminal: below the lines of what happened, how far it is, what runs, and how long it will take."""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli.output import harmless, seconds
from orchestrator.cli.reporters import PlainReporter, is_able_terminal, wants_color
from orchestrator.clock import monotonic
from orchestrator.pace import Pace, earlier_pace, group_of
from orchestrator.progress import (
    Happening,
    PersonAsked,
    Remark,
    Reporter,
    RunBegun,
    Silence,
    TaskEnded,
    TasksAdded,
    TaskSeen,
    TaskStarted,
    TaskWaiting,
)
from orchestrator.states import AttemptState, TaskState

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_NAMES_SHOWN = 3
_BAR_WIDTH = 24
_NOTE_WIDTH = 24
_LINES_OF_A_STEP = 50
_REFRESHES_PER_SEC = 8


class LiveReporter(PlainReporter):
    """The lines of a plain reporter, above two that change: a bar with times, and the running tasks.

    Of a step that became very many tasks, the first good ends have lines, and then only what went otherwise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self.progress = Progress(Pace())
        self._good_ends: Counter[int] = Counter()

    def tell(self, happening: Happening) -> None:
        """Take note of what happened before anything is printed."""
        if isinstance(happening, RunBegun):
            self.progress = Progress(earlier_pace(happening.run_root))
            self._start()
        elif isinstance(happening, PersonAsked):
            self._make_way(is_over=happening.is_over)
        elif not isinstance(happening, Remark | TaskStarted | TaskWaiting | TaskSeen | TaskEnded | TasksAdded):
            self._stop()
        self.progress.tell(happening)
        super().tell(happening)

    def write(self, text: str) -> None:
        """Print above the live lines."""
        if self._live is None:
            super().write(text)
        else:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def write_end(self, ended: TaskEnded, line: str) -> None:
        """Print the line of a task, unless it is one of many good ones."""
        if ended.status is TaskState.COMPLETED and "[" in ended.task_id:
            self._good_ends[ended.position] += 1
            if self._good_ends[ended.position] > _LINES_OF_A_STEP:
                return
            if self._good_ends[ended.position] == _LINES_OF_A_STEP:
                line += "\n       … further good ends of this step are only counted"
        super().write_end(ended, line)

    def _start(self) -> None:
        self._draw()
        atexit.register(self._stop)  # a run that ends with an error settles nothing, and the cursor must come back

    def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False, no_color=not wants_color())
        self._live = Live(
            console=console,
            get_renderable=self.progress.shown,
            transient=True,
            refresh_per_second=_REFRESHES_PER_SEC,
        )
        self._live.start()

    def _make_way(self, *, is_over: bool) -> None:
        """Draw nothing while somebody types."""
        if self._live is not None and is_over:
            self._draw()
        elif self._live is not None:
            self._live.stop()

    def _stop(self) -> None:
        atexit.unregister(self._stop)
        if self._live is not None:
            self._live.stop()
            self._live = None


class Progress:
    """How far a run is, and how long it will take at the pace of an earlier run, or at its own."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._began_at = clock()
        self._running: dict[str, float] = {}
        self._standing: dict[str, str] = {}
        self._waiting: dict[str, float | None] = {}
        self._waiting_sec = 0.0
        self._unknown: Counter[str] = Counter()
        self._ended = 0
        self._own_work_sec = 0.0

    def tell(self, happening: Happening) -> None:
        """Count what began and what ended."""
        if isinstance(happening, RunBegun):
            self._ended = happening.ended
            self._add(happening.waiting)
        elif isinstance(happening, TasksAdded):
            self._take(happening.parent)
            self._waiting[happening.parent] = 0.0
            self._add(happening.task_ids)
        elif isinstance(happening, TaskStarted):
            self._running[happening.task_id] = self._clock()
        elif isinstance(happening, TaskSeen):
            self._running.setdefault(happening.task_id, self._clock())
            self._standing[happening.task_id] = _standing(happening)
        elif isinstance(happening, TaskEnded):
            self._end(happening)

    def _add(self, task_ids: tuple[str, ...]) -> None:
        for task_id in task_ids:
            expected = self._waiting[task_id] = self._pace.expected(task_id)
            self._waiting_sec += expected or 0.0
            self._unknown[group_of(task_id)] += expected is None

    def _take(self, task_id: str) -> bool:
        """Take away what was expected of a task; tell whether it was waited for."""
        is_known = task_id in self._waiting
        expected = self._waiting.pop(task_id, 0.0)
        self._waiting_sec -= expected or 0.0
        self._unknown[group_of(task_id)] -= expected is None
        return is_known

    def _end(self, ended: TaskEnded) -> None:
        self._running.pop(ended.task_id, None)
        self._standing.pop(ended.task_id, None)
        self._own_work_sec += ended.duration_sec or 0.0
        if ended.status is TaskState.PENDING:
            return
        if ended.duration_sec is not None and ended.status is TaskState.COMPLETED:
            self._pace.took(ended.task_id, ended.duration_sec)
        self._ended += self._take(ended.task_id)

    def left_sec(self) -> float | None:
        """Give the seconds that are probably left; None where too little is known."""
        now = self._clock()
        under_way = {task_id: now - since for task_id, since in self._running.items()}
        guesses = [(self._pace.mean(group), count) for group, count in self._unknown.items() if count]
        if any(guess is None for guess, _ in guesses):
            return None
        work = self._waiting_sec + sum((guess or 0.0) * count for guess, count in guesses)
        work -= sum(min(elapsed, self._waiting.get(task_id) or 0.0) for task_id, elapsed in under_way.items())
        done = self._own_work_sec + sum(under_way.values())
        share = self._pace.share or ((now - self._began_at) / done if done else None)
        return max(0.0, work * share) if share is not None else None

    def shown(self) -> RenderableType:
        """Draw the bar and the running tasks."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = self._clock()
        total = self._ended + len(self._waiting)
        left = self.left_sec()
        times = f"{self._ended}/{total}  {seconds(now - self._began_at)}"
        about = "" if left is None or not self._waiting else f", about {_roughly(left)} left"
        bar = ProgressBar(
            total=max(total, 1),
            completed=self._ended,
            width=_BAR_WIDTH,
            style="bright_black",
            complete_style="cyan",
            finished_style="green",
        )
        head = Table.grid(padding=(0, 1))
        head.add_row("", bar, Text(times + about))
        stand = self._standing
        named = [f"{harmless(name)}{stand.get(name, '')} {seconds(now - at)}" for name, at in self._running.items()]
        more = f", and {len(named) - _NAMES_SHOWN} more" if len(named) > _NAMES_SHOWN else ""
        running = ", ".join(named[:_NAMES_SHOWN]) + more
        return Group(head, Text(f" …     {running or 'saving'}", style="cyan", overflow="ellipsis", no_wrap=True))


def _standing(seen: TaskSeen) -> str:
    """Give the words for where an attempt stands, to follow its name; none where it simply runs."""
    if seen.state is AttemptState.RUNNING and not seen.note:
        return ""
    note = harmless(seen.note) if len(seen.note) <= _NOTE_WIDTH else ""
    return f" {seen.state} ({note})" if note else f" {seen.state}"


def _roughly(left_sec: float) -> str:
    """Give a duration as it is guessed: to the second below a minute, then to the minute."""
    if left_sec < 59.5:  # noqa: PLR2004  what rounds to less than a minute
        return f"{max(1, round(left_sec))}s"
    minutes = round(left_sec / 60)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"  # noqa: PLR2004


def choose_reporter(*, quiet: bool) -> Reporter:
    """Give the reporter that fits standard error: live on a terminal, plain elsewhere, none when quiet."""
    if quiet:
        return Silence()
    return LiveReporter() if is_able_terminal() else PlainReporter()
