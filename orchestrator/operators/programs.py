"""Call a program for a moment: give it its input, and take what it says within a time and a size."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.clock import monotonic
from orchestrator.workers.capture import Capture

_CHUNK = 1 << 16
_LOOK_SEC = 0.05
_STDERR_BYTES = 64 * 1024
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENOEXEC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What came of a call; ``fault`` says why it is of no use, and is empty where the exit code is 0.

    ``is_missing`` tells that there is no such program, or that it may not or cannot be executed.
    """

    stdout: bytes = b""
    stderr: str = ""
    fault: str = ""
    is_missing: bool = False


def converse(argv: Sequence[str], given: bytes, *, env: Mapping[str, str], timeout_sec: float, cap: int) -> Called:
    """Call a program with ``given`` on its standard input; it may write ``cap`` bytes to standard output.

    It has a session of its own, of which nothing is left afterwards; a child that is to stay begins another one.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        return Called(fault=f"it cannot be started: {reason}", is_missing=getattr(error, "errno", 0) in _MISSING)
    conversation = _Conversation(process, given, cap)
    try:
        is_over = conversation.go_on_until(monotonic() + timeout_sec)
    finally:
        _end(process)
    return conversation.outcome("" if is_over else f"it did not end within {timeout_sec:g} seconds")


class _Conversation:
    """The three streams of a program, none of which waits for another."""

    def __init__(self, process: subprocess.Popen[bytes], given: bytes, cap: int) -> None:
        self._process = process
        self._left = memoryview(given)
        self._stdout = bytearray()
        self._stderr = Capture(cap=_STDERR_BYTES, keep_tail=True)
        self._cap = cap

    def go_on_until(self, deadline: float) -> bool:
        """Exchange until the program has ended or said too much, and tell whether that was before the deadline."""
        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    is_input = stream is self._process.stdin
                    selector.register(stream, selectors.EVENT_WRITE if is_input else selectors.EVENT_READ)
            while monotonic() < deadline:
                has_ended = _has_ended(self._process.pid)
                ready = selector.select(0 if has_ended else _LOOK_SEC)
                moved = [self._move(selector, key) for key, _ in ready]
                if len(self._stdout) > self._cap or (has_ended and not any(moved)):
                    return True
        return False

    def outcome(self, fault: str) -> Called:
        """Give what was said, once the program is gone."""
        if len(self._stdout) > self._cap:
            fault = f"it wrote more than {self._cap} bytes"
        if not fault and self._process.returncode:
            fault = _ending(self._process.returncode)
        return Called(stdout=bytes(self._stdout), stderr=self._stderr.text(), fault=fault)

    def _move(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
        """Move a piece through a stream; one that is at its end is left. Tell whether anything was read."""
        if key.events == selectors.EVENT_WRITE:
            self._give(selector, key)
            return False
        chunk = os.read(key.fd, _CHUNK)
        if key.fileobj is self._process.stdout:
            self._stdout += chunk
        else:
            self._stderr.add(chunk)
        if not chunk:
            selector.unregister(key.fileobj)
        return bool(chunk)

    def _give(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        try:
            self._left = self._left[os.write(key.fd, self._left) :]
        except BrokenPipeError:  # it does not want to know
            self._left = self._left[:0]
        if not self._left and self._process.stdin is not None:
            selector.unregister(key.fileobj)
            self._process.stdin.close()


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it to be waited for, so that its number is not given away."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by signal {-code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the program's session, and wait for the program."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
