"""Keep warm child processes that run calls, one at a time each, and report what came of every call."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from orchestrator.clock import monotonic
from orchestrator.context import Change, Context
from orchestrator.errors import InfrastructureError
from orchestrator.files import refused
from orchestrator.workers.calls import STDERR_CAP, STDOUT_CAP, Call, CommandCall, Done, PythonCall, signal_fault
from orchestrator.workers.capture import Capture
from orchestrator.workers.frames import decode_frame, encode_frame
from orchestrator.workers.tree import end_descendants

GRACE_SEC = 5.0
UNWATCHED_SEC = 0.05

_EXIT_LOOK_SEC = 0.001
_CHUNK = 1 << 16
_CHUNKS_AT_ONCE = 64
_CHILD = Path(__file__).with_name("child.py")
_DROPPED_NAMES = frozenset({"LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "DYLD_INSERT_LIBRARIES"})
_DROPPED_PREFIXES = ("PYTHON", "BASH_FUNC_")


def step_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Give the environment that steps see: all but the variables that inject code into programs."""
    return {
        name: value
        for name, value in source.items()
        if name not in _DROPPED_NAMES and not name.startswith(_DROPPED_PREFIXES)
    }


class _Worker:
    """One child process, its pipes, and the call it is busy with."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.sent_changes = 0
        self.is_watched = False
        self.call: Call | None = None
        self.began = 0.0
        self.deadline: float | None = None
        self.fault = ""
        self.stdout = Capture(cap=STDOUT_CAP, keep_tail=False)
        self.stderr = Capture(cap=STDERR_CAP, keep_tail=True)
        self._inbox = bytearray()
        self._start(environment)

    def _start(self, environment: Mapping[str, str]) -> None:
        (request_end, self.requests), (self.replies, reply_end) = os.pipe(), os.pipe()
        (self.out, out_end), (self.err, err_end) = os.pipe(), os.pipe()
        ends = (request_end, reply_end, out_end, err_end)
        # Copies above 9 first: an end that happens to be 3 or 4 would be overwritten by another's move.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        moves = [(os.POSIX_SPAWN_DUP2, end, wanted) for end, wanted in zip(high, (3, 4, 1, 2), strict=True)]
        null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        command = [sys.executable, "-E", "-P", "-X", "utf8", str(_CHILD)]
        try:
            self.pid = os.posix_spawn(sys.executable, command, environment, file_actions=[null, *moves], setsid=True)
        except OSError as error:
            self._close_pipes()
            raise refused(error, "start a worker process") from error
        finally:
            for end in (*ends, *high):
                os.close(end)
        for end in (self.replies, self.out, self.err):
            os.set_blocking(end, False)

    def send(self, call: Call, context: Context, folders: list[str]) -> None:
        """Hand over a call together with the context writes the child has not seen."""
        changes = context.since(self.sent_changes)
        message = {
            "step": call.step,
            "params": call.params,
            "env": call.env,
            "path": folders,
            "context": [[change.key, change.text, change.who] for change in changes],
            "hidden": [[change.key, change.text, change.who] for change in call.hidden],
            **_target(call),
        }
        self.call, self.began, self.fault = call, monotonic(), ""
        self.deadline = None if call.timeout_sec is None else self.began + call.timeout_sec
        self.sent_changes += len(changes)
        with contextlib.suppress(BrokenPipeError):
            self._write(encode_frame(message))

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            view = view[os.write(self.requests, view) :]

    def drain(self) -> list[int]:
        """Read what the two streams hold now; return those that have come to their end."""
        streams = ((self.out, self.stdout.add), (self.err, self.stderr.add))
        return [end for end, add in streams if _read_into(end, add)]

    def receive(self) -> dict[str, Any] | None:
        """Read what the reply pipe holds now and return the reply once it is whole; `EOFError` when there is none."""
        ended = _read_into(self.replies, self._inbox.extend)
        reply = decode_frame(self._inbox)
        if reply is None and ended:
            raise EOFError
        return reply

    def finish(self, done: Done) -> Done:
        """End the present call: add its outputs to ``done`` and be free for the next."""
        self.drain()
        full = dataclasses.replace(
            done,
            stdout=self.stdout.text(),
            stderr=self.stderr.text(),
            stdout_dropped=self.stdout.dropped,
            stdout_stray_byte=self.stdout.stray_byte,
            fault=self.fault or done.fault,
            duration_sec=monotonic() - self.began,
        )
        self.call, self.deadline = None, None
        self.stdout = Capture(cap=STDOUT_CAP, keep_tail=False)
        self.stderr = Capture(cap=STDERR_CAP, keep_tail=True)
        return full

    def lives(self) -> bool:
        """Tell whether the process has not ended."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    def ends(self, grace_sec: float) -> bool:
        """Tell whether the process is at its end, or comes to it in so many seconds."""
        until = monotonic() + grace_sec
        while self.lives() and monotonic() < until:
            time.sleep(_EXIT_LOOK_SEC)
        return not self.lives()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything in its group; a kill reaches those that left the group too."""
        if number is signal.SIGKILL:
            end_descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def reap(self) -> None:
        """Kill the process and all that it started, and close the pipes."""
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._close_pipes()

    def _close_pipes(self) -> None:
        for end in (self.requests, self.replies, self.out, self.err):
            os.close(end)


class WorkerPool:
    """Run calls in up to ``size`` child processes, which are started when needed and kept warm.

    A step that crashes, hangs, leaves programs behind or exits ends its own process only; the next call gets a new one.
    A step that is asked to end, or cuts its pipe, and does not end is killed ``grace_sec`` later. Variables
    ``withheld`` are not handed on.
    """

    def __init__(
        self,
        context: Context,
        *,
        size: int = 1,
        folders: list[str] | None = None,
        grace_sec: float = GRACE_SEC,
        withheld: Collection[str] = (),
    ) -> None:
        self._context = context
        self._size = size
        self._grace_sec = grace_sec
        self._folders = folders or []
        kept = step_environment(os.environ)
        self._environment = {name: value for name, value in kept.items() if name not in withheld}
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def warm(self) -> None:
        """Start a process ahead of the first call."""
        if not self._idle and not self._busy:
            self._idle.append(self._new_worker())

    @property
    def free(self) -> int:
        """Count the calls that could start now."""
        return self._size - len(self._busy)

    def start(self, call: Call) -> None:
        """Start a call; there must be a free place."""
        worker = self._idle_worker() or self._new_worker()
        self._busy.append(worker)
        worker.send(call, self._context, self._folders)

    def wait(self, timeout_sec: float | None) -> list[Done]:
        """Wait until a call ends, a deadline passes or the time is over; return the calls that ended."""
        self._enforce_deadlines()
        self._watch_streams()
        ready = self._selector.select(self._patience(timeout_sec))
        workers = dict.fromkeys(key.data for key, _ in ready)
        if workers.pop(None, 0) is None:
            _read_into(self._woken, lambda _: None)
        finished = [self._progress(worker) for worker in workers]
        self._enforce_deadlines()
        return [done for done in finished if done is not None]

    def wake(self) -> None:
        """Make `wait` return now; safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):  # full of wakes
            os.write(self._waker, b"!")

    def interrupt(
        self, fault: str, *, number: signal.Signals = signal.SIGTERM, spare: Collection[str] = frozenset()
    ) -> None:
        """Ask every running step to end, or kill it; each is reported by `wait` with this fault.

        A step that was asked before is not asked again, since that would end its cleaning up. Attempts to ``spare`` are
        left alone.
        """
        for worker in self._busy:
            is_spared = worker.call is not None and worker.call.attempt_id in spare
            if not is_spared and (not worker.fault or number is signal.SIGKILL):
                self._stop(worker, fault, number)

    def close(self) -> None:
        """End all processes."""
        for worker in [*self._idle, *self._busy]:
            self._forget(worker)
        self._idle, self._busy = [], []
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)

    def _idle_worker(self) -> _Worker | None:
        """Give a warm process that still lives; forget those that were killed from outside."""
        while self._idle:
            worker = self._idle.pop()
            if worker.lives():
                return worker
            self._forget(worker)
        return None

    def _new_worker(self) -> _Worker:
        worker = _Worker(self._environment)
        self._selector.register(worker.replies, selectors.EVENT_READ, worker)
        return worker

    def _watch_streams(self) -> None:
        """Follow the output of steps that have run for a moment; short ones are read once, when they end."""
        now = monotonic()
        for worker in self._busy:
            if not worker.is_watched and now >= worker.began + UNWATCHED_SEC:
                worker.is_watched = True
                for end in (worker.out, worker.err):
                    self._selector.register(end, selectors.EVENT_READ, worker)

    def _progress(self, worker: _Worker) -> Done | None:
        """Read from a worker that has something to say."""
        for end in worker.drain():
            self._unwatch(end)
        try:
            reply = worker.receive()
        except EOFError:
            return self._crashed(worker)
        if reply is None or worker.call is None:
            return None
        changes = tuple(Change(*change) for change in reply["changes"])
        done = worker.finish(
            Done(
                attempt_id=worker.call.attempt_id,
                exit_code=reply["exit_code"],
                changes=changes,
                fault=reply.get("fault", ""),
                cpu_sec=reply["cpu_sec"],
                max_rss_mb=reply["max_rss_mb"],
            )
        )
        self._busy.remove(worker)
        if worker.is_watched:
            self._unwatch(worker.out)
            self._unwatch(worker.err)
            worker.is_watched = False
        if done.fault or reply["spent"] or worker.drain():
            self._forget(worker)
        else:
            self._idle.append(worker)
        return done

    def _crashed(self, worker: _Worker) -> Done | None:
        """Report the end of a worker that closed its pipe without an answer."""
        call = worker.call
        (self._busy if worker in self._busy else self._idle).remove(worker)
        if call is None:
            self._forget(worker)
            return None
        if not worker.ends(self._grace_sec):
            worker.fault = worker.fault or "the step closed the pipe to its runner"
            worker.signal(signal.SIGKILL)
        code = _exit_code(worker.pid)
        fault = signal_fault(code) or f"the process exited with {code} and no answer"
        done = worker.finish(Done(attempt_id=call.attempt_id, exit_code=code, fault=fault))
        self._forget(worker)
        return done

    def _enforce_deadlines(self) -> None:
        now = monotonic()
        for worker in self._busy:
            if worker.deadline is None or now < worker.deadline or worker.call is None:
                continue
            number = signal.SIGKILL if worker.fault else signal.SIGTERM
            self._stop(worker, worker.fault or f"timeout after {worker.call.timeout_sec:g}s", number)

    def _stop(self, worker: _Worker, fault: str, number: signal.Signals) -> None:
        worker.fault = worker.fault or fault
        worker.deadline = monotonic() + self._grace_sec
        worker.signal(number)

    def _patience(self, timeout_sec: float | None) -> float | None:
        deadlines = [worker.deadline - monotonic() for worker in self._busy if worker.deadline is not None]
        looks = [worker.began + UNWATCHED_SEC - monotonic() for worker in self._busy if not worker.is_watched]
        waits = [*deadlines, *looks, *([] if timeout_sec is None else [timeout_sec])]
        return max(0.0, min(waits)) if waits else None

    def _forget(self, worker: _Worker) -> None:
        for end in (worker.replies, worker.out, worker.err):
            self._unwatch(end)
        worker.reap()

    def _unwatch(self, end: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)


def _target(call: Call) -> dict[str, Any]:
    if isinstance(call.target, CommandCall):
        return {"argv": list(call.target.argv), "takes_params": call.target.takes_params}
    if not isinstance(call.target, PythonCall):
        message = f"{call.step} is for people, not for a worker"
        raise TypeError(message)
    return {
        "path_of_module": str(call.target.path),
        "module": call.target.module,
        "class": call.target.class_name,
        "sha256": call.target.sha256,
    }


def _read_into(descriptor: int, add: Callable[[bytes], None]) -> bool:
    """Read what a pipe holds now, in bounds, so that one that never ends keeps nobody waiting; tell its end."""
    for _ in range(_CHUNKS_AT_ONCE):
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            return True
        add(chunk)
    return False


def _exit_code(pid: int) -> int:
    """Give the exit code of a process that is at its end, negative for a signal, without reaping it."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if ended is None:
        raise InfrastructureError(f"worker process {pid} vanished")
    return int(ended.si_status) if ended.si_code == os.CLD_EXITED else -int(ended.si_status)
