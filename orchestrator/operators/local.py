"""Run attempts as processes of this machine that outlive the runner, each in its own directory."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator import away
from orchestrator.files import log_action
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import EXIT_CODE, OWN, STDERR, STDOUT
from orchestrator.operators.assignments import Assignment, Sighting, not_begun, one_by_one
from orchestrator.operators.payload import (
    CONTEXT_VARIABLE,
    collected,
    exit_code_of,
    given_params,
    scriptlet_argv,
    texts_of,
)
from orchestrator.operators.processors import Processors
from orchestrator.operators.staging import CLAIM, CONTEXT, stage
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done
from orchestrator.workers.commands import PARAMS_VARIABLE

GRACE_SEC = 5.0
LAUNCH_SEC = 10.0

_LOOKS_EVERY_SEC = 0.1
_PROC = Path("/proc/self")
_SHELL = "/bin/sh"  # by its path: to look for it costs as many calls as PATH has folders
_TIMED_OUT = f"{OWN}/timed_out"
# What every attempt runs: claim the directory once and for all, run the program, and leave its exit code. The shell
# outlives a signal to its group, so that the exit code is there whatever ended the program; whatever the program left
# running in the group ends with it.
_SCRIPT = f"""\
cd -- "$1" || exit 1
set -C
echo "$$ $2" 2>/dev/null > {CLAIM} || exit 1
set +C
trap : TERM INT HUP QUIT
limit=$3 memory=$4
shift 4
if [ "$limit" != 0 ]; then
  (trap '' TERM; sleep "$limit"; : > {_TIMED_OUT}; kill -TERM 0; sleep {GRACE_SEC:g}; kill -KILL 0) \
>/dev/null 2>&1 </dev/null &
fi
if [ "$memory" != 0 ]; then
  (trap - TERM INT HUP QUIT; ulimit -v "$memory"; exec "$@")
else
  "$@"
fi
echo "$?" > {EXIT_CODE}
kill -KILL 0
"""
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LocalOperator:
    """Runs steps on this machine, in sessions of their own that go on when the runner ends.

    Whether a process belongs to an attempt is told by the attempt's id, which is an argument of it, so that the number
    of a process that is long gone names nobody else. Memory and time are limited as the step asks; its processors are
    those of this machine that are asked for least.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._processors = Processors()
        self._held: dict[str, Assignment] = {}
        self._children: dict[str, int] = {}
        self._watched: dict[str, int] = {}
        self._attempts: dict[int, str] = {}
        self._unwatched: set[str] = set()
        self._asked_to_end: dict[str, float] = {}
        self._poll = select.epoll() if hasattr(os, "pidfd_open") and hasattr(select, "epoll") else None

    @property
    def looks_every_sec(self) -> float | None:
        """Look at times: a process that is asked to end and does not is killed, and not every end is told of."""
        return _LOOKS_EVERY_SEC if self._unwatched or self._asked_to_end else None

    def fileno(self) -> int | None:
        """Give the descriptor that tells of processes that ended."""
        return self._poll.fileno() if self._poll else None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Make the directories and start the processes, unless they were started before."""
        return one_by_one(assignments, self._begun)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Watch processes that were started before, and say which of them are out of sight on another host."""
        return map(self._hold, assignments)

    def look(self) -> Iterator[Sighting]:
        """Give what ended, at the cost of what may have ended alone."""
        ready = [self._attempts[descriptor] for descriptor, _ in self._poll.poll(0)] if self._poll else []
        for attempt_id in dict.fromkeys([*ready, *self._asked_to_end, *self._unwatched]):
            if (ended := self._ended(self._held[attempt_id])) is not None:
                self._forget(attempt_id)
                yield Sighting(attempt_id=attempt_id, state=AttemptState.COLLECTING, done=ended)

    def cancel(self, attempts: Collection[str]) -> None:
        """Ask the processes and all that they started to end; what does not is killed a little later."""
        for attempt_id in attempts:
            self._signal(self._held[attempt_id], signal.SIGTERM)
            self._asked_to_end.setdefault(attempt_id, time.monotonic())

    def close(self) -> None:
        """Watch no more; the processes go on."""
        for descriptor in self._watched.values():
            os.close(descriptor)
        self._watched.clear()
        self._attempts.clear()
        if self._poll is not None:
            self._poll.close()

    def _begun(self, assignment: Assignment) -> Sighting:
        told = stage(assignment, texts_of(assignment))
        # One that is to end is not begun; that an earlier runner has, and it is about to claim, shows in a while.
        if (assignment.folder / CLAIM).exists() or assignment.cancel_asked:
            return self._hold(assignment, told)
        try:
            pid = self._children[assignment.attempt_id] = self._start(assignment)
        except OSError as error:
            return not_begun(assignment, f"cannot start a process: {(error.strerror or '').lower()}")
        return self._runs(assignment, pid, told)

    def _hold(self, assignment: Assignment, told: Mapping[str, JsonValue] | None = None) -> Sighting:
        attempt_id = assignment.attempt_id
        pid, host = _claim(assignment)
        if host in {"", _host()}:
            return self._runs(assignment, pid or self._children.get(attempt_id), told)
        self._held[attempt_id] = assignment
        self._unwatched.add(attempt_id)
        note = f"it was begun on {host}: go on with the run there"
        return Sighting(attempt_id=attempt_id, state=AttemptState.UNKNOWN, note=note, operator_data={"host": host})

    def _runs(self, assignment: Assignment, pid: int | None, told: Mapping[str, JsonValue] | None) -> Sighting:
        self._held[assignment.attempt_id] = assignment
        self._watch(assignment.attempt_id, pid)
        return Sighting(
            attempt_id=assignment.attempt_id,
            state=AttemptState.RUNNING,
            external_id=str(pid or ""),
            operator_data=told or {},
        )

    def _start(self, assignment: Assignment) -> int:
        work, folder = assignment.work, assignment.folder
        resources = work.get("resources", {})
        limits = [f"{work.get('limit_sec') or 0:g}", str(int(resources.get("memory_gb", 0) * 1024 * 1024))]
        command = [_SHELL, "-c", _SCRIPT, assignment.attempt_id, str(folder), _host(), *limits, *_argv(assignment)]
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            log_action(1, folder / STDOUT),
            log_action(2, folder / STDERR),
        ]
        with self._processors.lent(assignment.attempt_id, resources.get("cores")) as variables:
            environment = {**self._environment, **variables, **assignment.env}
            environment.update({PARAMS_VARIABLE: given_params(assignment), CONTEXT_VARIABLE: CONTEXT})
            return os.posix_spawn(
                _SHELL, command, environment, file_actions=streams, setsid=True, setsigdef=_DEFAULT_SIGNALS
            )

    def _watch(self, attempt_id: str, pid: int | None) -> None:
        if attempt_id in self._watched:
            return
        self._unwatched.add(attempt_id)
        if self._poll is None or pid is None or not self._is_of(pid, attempt_id):
            return
        with contextlib.suppress(OSError):  # it has ended already, and the next look finds that out
            descriptor = os.pidfd_open(pid)
            self._poll.register(descriptor, select.EPOLLIN)
            self._watched[attempt_id] = descriptor
            self._attempts[descriptor] = attempt_id
            self._unwatched.discard(attempt_id)

    def _forget(self, attempt_id: str) -> None:
        del self._held[attempt_id]
        self._children.pop(attempt_id, None)
        self._unwatched.discard(attempt_id)
        self._asked_to_end.pop(attempt_id, None)
        self._processors.give_back(attempt_id)
        if (descriptor := self._watched.pop(attempt_id, None)) is not None:
            del self._attempts[descriptor]
            if self._poll is not None:  # to close it is not enough while a process that is being started has it too
                self._poll.unregister(descriptor)
            os.close(descriptor)

    def _ended(self, assignment: Assignment) -> Done | None:
        """Give what came of an attempt whose process is gone; None while it runs, or may run on another host."""
        pid, host = _claim(assignment)
        if host not in {"", _host()} and not _has_ended(assignment):
            return None
        self._kill_late(assignment)
        status = self._reaped(assignment.attempt_id)
        pid = pid or self._children.get(assignment.attempt_id)
        if pid is not None and self._is_of(pid, assignment.attempt_id):
            self._watch(assignment.attempt_id, pid)
            return None
        if status is None and pid is None and assignment.age_sec < LAUNCH_SEC and not _has_ended(assignment):
            return None
        return _done(assignment, status)

    def _kill_late(self, assignment: Assignment) -> None:
        asked_at = self._asked_to_end.get(assignment.attempt_id)
        if asked_at is not None and time.monotonic() - asked_at > GRACE_SEC:
            self._signal(assignment, signal.SIGKILL)

    def _reaped(self, attempt_id: str) -> int | None:
        """Give the wait status of a process that this one started and that has ended."""
        pid = self._children.get(attempt_id)
        if pid is None:
            return None
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended, status = pid, None
        if ended:
            del self._children[attempt_id]
        return status if ended else None

    def _pid(self, assignment: Assignment) -> int | None:
        """Give the process of an attempt: the one that claimed its directory, or the one that is about to."""
        return _claim(assignment)[0] or self._children.get(assignment.attempt_id)

    def _is_of(self, pid: int, attempt_id: str) -> bool:
        """Tell whether a process belongs to an attempt; a child does, also while its arguments are not in place."""
        return self._children.get(attempt_id) == pid or _is_of(pid, attempt_id)

    def _signal(self, assignment: Assignment, number: signal.Signals) -> None:
        pid = self._pid(assignment)
        if pid is not None and self._is_of(pid, assignment.attempt_id):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)


def _argv(assignment: Assignment) -> list[str]:
    """Give the command of a step as it runs on this machine."""
    work = assignment.work
    if "class" in work:
        return scriptlet_argv(work, sys.executable, away.__file__)
    return [*work["argv"], *(["--params", given_params(assignment)] if work.get("takes_params") else [])]


def _host() -> str:
    return os.uname().nodename


def _claim(assignment: Assignment) -> tuple[int | None, str]:
    """Give the process that claimed the directory of an attempt, and its host; nothing where none has."""
    with contextlib.suppress(OSError, ValueError):
        pid, _, host = (assignment.folder / CLAIM).read_text(encoding="utf-8").partition(" ")
        return int(pid), host.strip()
    return None, ""


def _is_of(pid: int, attempt_id: str) -> bool:
    """Tell whether a living process belongs to an attempt: the id of that is one of its arguments."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = [] if _PROC.exists() else command_line(pid).split()
    return attempt_id.encode() in words


def command_line(pid: int) -> bytes:
    """Give the command of a process where there is no /proc; nothing for one that is gone."""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else b""


def _has_ended(assignment: Assignment) -> bool:
    return exit_code_of(assignment.folder) is not None


def _done(assignment: Assignment, status: int | None) -> Done:
    """Give what came of an attempt that has ended."""
    folder = assignment.folder
    if folder.is_symlink() or not folder.is_dir():
        fault = f"{'lost: ' if status is None else ''}its directory is gone, or is another one"
        return Done(attempt_id=assignment.attempt_id, exit_code=None, fault=fault)
    return collected(assignment, _fault(assignment, exit_code_of(folder), status), _duration_sec(folder))


def _fault(assignment: Assignment, exit_code: int | None, status: int | None) -> str:
    if (assignment.folder / _TIMED_OUT).exists():
        return f"timeout after {assignment.work.get('limit_sec', 0):g}s"
    if exit_code is not None:
        return ""
    if status is not None and os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return "lost: its process is gone and left no exit code"


def _duration_sec(folder: Path) -> float:
    """Give the seconds from the claim of the directory to the exit code, or to now where a process was killed."""
    with contextlib.suppress(OSError):
        began_at = (folder / CLAIM).stat().st_mtime
        ended = folder / EXIT_CODE
        return max(0.0, (ended.stat().st_mtime if ended.exists() else time.time()) - began_at)
    return 0.0
