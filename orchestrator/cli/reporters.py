"""Show a run on standard error, one line for each thing that happened."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter

import click

from orchestrator.cli.frontier import NO_CAMPAIGN
from orchestrator.cli.output import harmless, seconds, while_read
from orchestrator.clock import monotonic
from orchestrator.progress import (
    CampaignLeftOut,
    Happening,
    LogMissing,
    Remark,
    RunBegun,
    RunLeftBehind,
    RunSettled,
    TaskEnded,
    TaskWaiting,
)
from orchestrator.states import RunState, TaskState

_SHOWN_NAMES = 5
SHOWN_STDERR_LINES = 8

_WORDS = {
    TaskState.COMPLETED: ("ok", "green"),
    TaskState.FAILED: ("FAIL", "red"),
    TaskState.SKIPPED: ("skip", "bright_black"),
    TaskState.BLOCKED: ("block", "yellow"),
    TaskState.PENDING: ("retry", "yellow"),
}


_GOING_ON = {RunState.PENDING: "resume", RunState.PAUSED: "resume", RunState.CANCELLED: "revive"}


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
        elif isinstance(happening, TaskWaiting):
            name = happening.task_id.ljust(min(self._width, 40))
            word = click.style("wait ", fg="cyan")
            self.write(f" {word} {happening.position + 1:>3} {name}           {happening.todo}")
        elif isinstance(happening, RunSettled):
            self._settle(happening)
        else:
            self._note(happening)

    def _note(self, happening: Happening) -> None:
        """Print what people should know of a run beside its steps."""
        if isinstance(happening, LogMissing):
            self.write(f"warning: state.sqlite-wal of run {happening.run_id} was removed after its runner died")
            self.write("  = what it held is lost: steps whose end it recorded run again")
        elif isinstance(happening, CampaignLeftOut):
            self.write(f"note: run {happening.run_id} goes on with the tasks that it recorded")
            self.write(f"  = {NO_CAMPAIGN}")
        elif isinstance(happening, Remark):
            self.write(f"note: {harmless(happening.text)}")
            self.write(f"  = {harmless(happening.todo)}")
        elif isinstance(happening, RunLeftBehind):
            self._leave_behind(happening)

    def _leave_behind(self, left: RunLeftBehind) -> None:
        if left.is_driven:
            self.write(f"note: run {left.run_id} was started in the same way, and is being driven; this is another")
            self.write(f"  = look at it:  matterstack status {left.run_id}")
            return
        why = "is paused" if left.status == RunState.PAUSED else f"has not ended ({left.status})"
        other = "; this is another" if left.status == RunState.PAUSED else " and was started differently"
        self.write(f"note: run {left.run_id} {why}{other}")
        self.write(f"  = go on with it:  matterstack resume {left.run_id}")

    def write(self, text: str) -> None:
        """Put a line on standard error."""
        with while_read(sys.stderr, OSError):
            click.echo(text, err=True, color=wants_color())

    def write_end(self, ended: TaskEnded, line: str) -> None:  # noqa: ARG002  others look at what ended
        """Put the line of a task that ended on standard error."""
        self.write(line)

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
        line = f" {click.style(word.ljust(5), fg=color)} {ended.position + 1:>3} {name} {duration:>8}  {note}"
        self.write_end(ended, line)

    def _settle(self, settled: RunSettled) -> None:
        self._explain_failures(settled)
        if self._counts["stub"]:
            self.write("note: stubs answered for steps; this is no real result")
        nothing = "nothing to do" if settled.status is RunState.COMPLETED else "nothing has ended"
        counts = ", ".join(f"{count} {word.lower()}" for word, count in self._counts.items()) or nothing
        took = seconds(monotonic() - self._began_at)
        color = "green" if settled.status is RunState.COMPLETED else "red"
        state = "interrupted" if settled.status is RunState.PENDING else settled.status.lower()
        if settled.status in (RunState.CANCELLED, RunState.PAUSED):
            state = harmless(settled.reason)
        if settled.paused_at:
            state = f"paused before {settled.paused_at}"
        if settled.waits_for:
            state = f"waiting for {', '.join(settled.waits_for[:_SHOWN_NAMES])}"
        self.write(f"{click.style(state, fg=color, bold=True)}: {counts} in {took}   {_shown_path(settled)}")
        self._say_how_to_go_on(settled)

    def _say_how_to_go_on(self, settled: RunSettled) -> None:
        if settled.paused_at:
            self.write(f"  = look at its values:  matterstack ctx get {settled.run_id}")
        counted = [failure for failure in self._failures if _counts(failure)]
        if first := next((failure for failure in counted if failure.began), None):
            command = "rerun" if first.is_away else "replay"
            self.write(f"  = that step alone:  matterstack {command} {settled.run_id} {shlex.quote(first.task_id)}")
        if counted:
            self.write(f"  = what failed, again:  matterstack retry {settled.run_id}")
        if settled.goes_on:
            names = ", ".join(settled.goes_on[:_SHOWN_NAMES])
            more = len(settled.goes_on) - _SHOWN_NAMES
            self.write(f"  = without this runner go on:  {names}{f' and {more} more' if more > 0 else ''}")
        if settled.has_last_to_do:
            self.write("  = not done yet:  finally, which waits until they have ended and the run goes on")
        for task_id in settled.questions:
            self.write(f"  = answer with:  matterstack respond {settled.run_id} {shlex.quote(task_id)}")
        if verb := _GOING_ON.get(settled.status):
            self.write(f"  = go on with:  matterstack {verb} {settled.run_id}")

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


def _counts(failure: TaskEnded) -> bool:
    return failure.status is TaskState.FAILED and not failure.allowed


def wants_color() -> bool:
    """Tell whether standard error is to have colour."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_able_terminal()


def is_able_terminal() -> bool:
    """Tell whether standard error is a terminal on which lines can change."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _shown_path(settled: RunSettled) -> str:
    return os.path.relpath(settled.run_root) if settled.run_root.is_relative_to(os.getcwd()) else str(settled.run_root)  # noqa: PTH109
