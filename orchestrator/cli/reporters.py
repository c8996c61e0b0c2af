"""Show a run on standard error: one line a step, and on a terminal the running step with its time below them."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from orchestrator.cli.output import harmless, seconds, while_read
from orchestrator.clock import monotonic
from orchestrator.progress import (
    Happening,
    LogMissing,
    Reporter,
    RunBegun,
    RunLeftBehind,
    RunSettled,
    Silence,
    TaskEnded,
    TaskStarted,
)
from orchestrator.states import RunState, TaskState

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

SHOWN_STDERR_LINES = 8

_WORDS = {
    TaskState.COMPLETED: ("ok", "green"),
    TaskState.FAILED: ("FAIL", "red"),
    TaskState.SKIPPED: ("skip", "bright_black"),
    TaskState.BLOCKED: ("block", "yellow"),
    TaskState.PENDING: ("retry", "yellow"),
}


class PlainReporter:
    """One line for each thing that happened, with colour where the terminal wants it."""

    def __init__(self) -> None:
        self._begun: RunBegun | None = None
        self._began_at = monotonic()
        self._counts: Counter[str] = Counter()
        self._failures: list[TaskEnded] = []
        self._width = 0

    def tell(self, happening: Happening) -> None:
        """Print what the happening calls for."""
        if isinstance(happening, RunBegun):
            self._begin(happening)
        elif isinstance(happening, TaskEnded):
            self._end_task(happening)
        elif isinstance(happening, RunSettled):
            self._settle(happening)
        elif isinstance(happening, LogMissing):
            self.write(f"warning: state.sqlite-wal of run {happening.run_id} was removed after its runner died")
            self.write("  = what it held is lost: steps whose end it recorded run again")
        elif isinstance(happening, RunLeftBehind):
            self.write(f"note: run {happening.run_id} has not ended ({happening.status}) and was started differently")
            self.write(f"  = go on with it:  matterstack resume {happening.run_id}")

    def write(self, text: str) -> None:
        """Put a line on standard error."""
        with while_read(sys.stderr, OSError):
            click.echo(text, err=True, color=_wants_color())

    def _begin(self, begun: RunBegun) -> None:
        self._begun = begun
        self._width = max((len(task_id) for task_id in begun.task_ids[:200]), default=0)
        count = len(begun.task_ids)
        again = f", going on after {begun.done_before}" if begun.done_before else ""
        identity = f"  {harmless(begun.test_id)}" if begun.test_id else ""
        steps = f"{count} step{'s' if count != 1 else ''}"
        self.write(f"{click.style(begun.recipe_name, bold=True)}{identity}  run {begun.run_id}  ({steps}{again})")

    def _end_task(self, ended: TaskEnded) -> None:
        word, color = _WORDS[ended.status]
        if ended.status is TaskState.PENDING and ended.retry_in_sec is None:
            word = "stop"
        if ended.status is TaskState.FAILED and ended.allowed:
            word, color = "allow", "yellow"
        if ended.cached:
            word = "cache"
        if ended.stubbed and ended.status is TaskState.COMPLETED:
            word, color = "stub", "magenta"
        if ended.status is not TaskState.PENDING:
            self._counts[word] += 1
        if ended.problem:
            self._failures.append(ended)
        note = ", ".join(ended.outputs) or ended.reason
        if ended.retry_in_sec is not None:
            note = f"{ended.reason}; next attempt in {seconds(ended.retry_in_sec)}"
        duration = seconds(ended.duration_sec)
        self._width = max(self._width, min(len(ended.task_id), 40))
        name = ended.task_id.ljust(min(self._width, 40))
        note = harmless(note.replace("\n", " "))
        self.write(f" {click.style(word.ljust(5), fg=color)} {ended.position + 1:>3} {name} {duration:>8}  {note}")

    def _settle(self, settled: RunSettled) -> None:
        self._explain_failures(settled)
        if self._counts["stub"]:
            self.write("note: stubs answered for steps; this is no real result")
        counts = ", ".join(f"{count} {word.lower()}" for word, count in self._counts.items()) or "nothing to do"
        took = seconds(monotonic() - self._began_at)
        color = "green" if settled.status is RunState.COMPLETED else "red"
        state = "interrupted" if settled.status is RunState.PENDING else settled.status.lower()
        if settled.paused_at:
            state = f"paused before {settled.paused_at}"
        self.write(f"{click.style(state, fg=color, bold=True)}: {counts} in {took}   {_shown_path(settled)}")
        self._say_how_to_go_on(settled)

    def _say_how_to_go_on(self, settled: RunSettled) -> None:
        if settled.paused_at:
            self.write(f"  = look at its values:  matterstack ctx get {settled.run_id}")
        if first := next((failure.task_id for failure in self._failures if _counts(failure)), ""):
            self.write(f"  = that step alone:  matterstack replay {settled.run_id} {shlex.quote(first)}")
            self.write(f"  = what failed, again:  matterstack retry {settled.run_id}")
        if settled.status is RunState.PENDING:
            self.write(f"  = go on with:  matterstack resume {settled.run_id}")

    def _explain_failures(self, settled: RunSettled) -> None:
        for failure in self._failures:
            if _counts(failure):
                self._explain(failure)
        if settled.problem:
            self.write(harmless(str(settled.problem)))

    def _explain(self, failure: TaskEnded) -> None:
        self.write(harmless(str(failure.problem)))
        lines = failure.stderr.strip().splitlines()
        if lines:
            self.write("  = its last lines on standard error:")
        for line in lines[-SHOWN_STDERR_LINES:]:
            self.write(f"  |   {harmless(line)}")


class LiveReporter(PlainReporter):
    """The same lines on a terminal, with the running step and its elapsed time kept below them."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self._running: dict[str, tuple[str, float]] = {}
        self._listed: frozenset[str] = frozenset()
        self._done = 0

    def tell(self, happening: Happening) -> None:
        """Update the running step before anything is printed."""
        if isinstance(happening, TaskStarted):
            self._running[happening.task_id] = (happening.task_id, monotonic())
        elif isinstance(happening, TaskEnded):
            self._running.pop(happening.task_id, None)
            is_listed = happening.task_id in self._listed
            self._done += is_listed and happening.status is not TaskState.PENDING
        elif isinstance(happening, RunBegun):
            self._start(happening)
        else:
            self._stop()
        super().tell(happening)

    def write(self, text: str) -> None:
        """Print above the live line."""
        if self._live is None:
            super().write(text)
        else:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _start(self, begun: RunBegun) -> None:
        from rich.console import Console
        from rich.live import Live

        self._done = begun.done_before
        self._listed = frozenset(begun.task_ids)
        console = Console(stderr=True, highlight=False, no_color=not _wants_color())
        self._live = Live(console=console, get_renderable=self._line, transient=True, refresh_per_second=8)
        self._live.start()
        atexit.register(self._stop)  # a run that ends with an error settles nothing, and the cursor must come back

    def _stop(self) -> None:
        atexit.unregister(self._stop)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self) -> RenderableType:
        from rich.text import Text

        now = monotonic()
        running = ", ".join(f"{name} {seconds(now - since)}" for name, since in self._running.values())
        total = len(self._begun.task_ids) if self._begun else 0
        return Text(f" …     {self._done}/{total}  {running or 'saving'}", style="cyan", overflow="ellipsis")


def choose_reporter(*, quiet: bool) -> Reporter:
    """Give the reporter that fits standard error: live on a terminal, plain elsewhere, none when quiet."""
    if quiet:
        return Silence()
    return LiveReporter() if _is_able_terminal() else PlainReporter()


def _counts(failure: TaskEnded) -> bool:
    return failure.status is TaskState.FAILED and not failure.allowed


def _wants_color() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or _is_able_terminal()


def _is_able_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _shown_path(settled: RunSettled) -> str:
    return os.path.relpath(settled.run_root) if settled.run_root.is_relative_to(os.getcwd()) else str(settled.run_root)  # noqa: PTH109
