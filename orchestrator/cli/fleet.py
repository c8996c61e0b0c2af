"""Drive several runs at once, each in a process of its own, so that none waits for another."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from orchestrator.cli.output import while_read
from orchestrator.errors import StoreError
from orchestrator.paths import iterate_runs, package_root
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import read_run

_ACTIVE = (RunState.PENDING, RunState.RUNNING)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A bare checkout is no installed package, and its folder is not on the path of another process.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from orchestrator.__main__ import main; main()"
_printing = threading.Lock()


class Told:
    """The lines that one run has for people, each below the end of its id."""

    def __init__(self, run_id: str) -> None:
        self._mark = run_id[-8:]

    def say(self, line: str) -> None:
        """Put a line on standard error, whole."""
        with _printing, while_read(sys.stderr, OSError):
            click.echo(f"{self._mark} | {line}", err=True)


def active_runs(workspaces: Path) -> list[Path]:
    """Give the runs that have not ended and that nobody has paused, oldest first; say which are driven already."""
    return [root for root in reversed(list(iterate_runs(workspaces))) if _is_free(root)]


def drive_all(runs: Sequence[Path], options: Sequence[str]) -> int:
    """Drive runs until all have settled, with the options as they were typed; return the exit status.

    That is the number of a signal that stopped them, as for one run, and otherwise the highest of theirs.
    """
    if not runs:
        click.echo("no run is active", err=True)
    with _passing_on_signals() as (children, caught):
        for root in runs:
            children.append(_start(root, options))
            if caught:  # it came while that one was not in the list yet
                children[-1].send_signal(caught[0])
                break
        threads = [_Listening(root, child) for root, child in zip(runs, children, strict=False)]
        for listening in threads:
            listening.join()
    statuses = [_as_shell(child.wait()) for child in children]
    return 128 + caught[0] if caught else max(statuses, default=0)


def _is_free(root: Path) -> bool:
    try:
        with reading(root) as database:
            is_active = read_run(database).status in _ACTIVE
    except StoreError as error:
        Told(root.name).say(f"left alone: {error.message}")
        return False
    if is_active and is_driven(root):
        Told(root.name).say("left alone: another process drives it")
        return False
    return is_active


def _start(root: Path, options: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process that drives one run; a signal from the terminal reaches it through this one alone."""
    program = [sys.executable, "-P", "-c", _START, str(package_root())]
    return subprocess.Popen(
        [*program, "loop", str(root), "--unless-driven", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


class _Listening:
    """Two threads that pass on what a process says: its lines for people at once, its result at its end."""

    def __init__(self, root: Path, child: subprocess.Popen[str]) -> None:
        self._told, self._child = Told(root.name), child
        self._threads = [threading.Thread(target=listen, daemon=True) for listen in (self._hear, self._take_result)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the process has said all."""
        for thread in self._threads:
            thread.join()

    def _hear(self) -> None:
        with self._child.stderr or io.StringIO() as lines:
            for line in lines:
                self._told.say(line.rstrip("\n"))

    def _take_result(self) -> None:
        with self._child.stdout or io.StringIO() as lines:
            for line in lines:
                self._show(line)

    @staticmethod
    def _show(line: str) -> None:
        if not sys.stdout.isatty():
            with _printing, while_read(sys.stdout):
                click.echo(line, nl=False)


@contextmanager
def _passing_on_signals() -> Iterator[tuple[list[subprocess.Popen[str]], list[signal.Signals]]]:
    """Send on each signal that would stop this process to all that it has started; give these, and what came."""
    children: list[subprocess.Popen[str]] = []
    caught: list[signal.Signals] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        caught.append(signal.Signals(number))
        for child in children:
            with suppress(ProcessLookupError):
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    try:
        yield children, caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_shell(status: int) -> int:
    """Give the exit status of a process as a shell does: above 128 where a signal ended it."""
    return status if status >= 0 else 128 - status
