"""Reach this machine: commands are processes of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Generator, Iterable, Iterator, Mapping

from orchestrator.clock import monotonic
from orchestrator.errors import AnswerLateError, AnswerLostError, SiteAwayError
from orchestrator.remote.contents import PIECE
from orchestrator.remote.framing import PROGRAM, Ended
from orchestrator.remote.transport import Transport
from orchestrator.workers.capture import Capture

STDERR_BYTES = 256 * 1024


class LocalTransport(Transport):
    """Runs commands on this machine, in sessions of their own, with an ``environment``, or that of this process."""

    def __init__(self, site: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(site)
        self._environment = None if environment is None else dict(environment)

    def open(self) -> None:
        """Do nothing: this machine is always there."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> Generator[bytes, None, Ended]:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=self._environment,
                bufsize=0,
            )
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise SiteAwayError(f"{self.site}: no shell can be started: {reason}", hint="it is tried again") from error
        streams = _Streams(process, line, given)
        try:
            if not (yield from streams.until(monotonic() + deadline_sec)):
                _kill(process)
                raise AnswerLateError(
                    f"{self.site}: a command did not end within {deadline_sec:g} seconds", hint="see what became of it"
                )
        finally:
            streams.close()
        if process.returncode < 0:
            message = f"{self.site}: the shell of a command was ended by signal {-process.returncode}"
            raise AnswerLostError(message, hint="see what became of it")
        return Ended(exit_code=process.returncode, stderr=streams.stderr.text())


class _Streams:
    """The three streams of a process, none of which waits for another."""

    def __init__(self, process: subprocess.Popen[bytes], line: bytes, given: Iterable[bytes]) -> None:
        self.stderr = Capture(cap=STDERR_BYTES, keep_tail=True)
        self._process = process
        self._given: Iterator[bytes] = iter(given)
        self._left = line
        self._selector = selectors.DefaultSelector()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                events = selectors.EVENT_WRITE if stream is process.stdin else selectors.EVENT_READ
                self._selector.register(stream, events)

    def until(self, deadline: float) -> Generator[bytes, None, bool]:
        """Give standard output until all is said and the process has ended; tell whether that was in time."""
        while self._is_said_to():
            if (left := deadline - monotonic()) <= 0:
                return False
            for key, _ in self._selector.select(left):
                if key.fileobj is self._process.stdin:
                    self._give()
                    continue
                piece = os.read(key.fd, PIECE)
                if not piece:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._process.stdout:
                    yield piece
                else:
                    self.stderr.add(piece)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - monotonic()))
            return True
        return False

    def close(self) -> None:
        """Let go of the streams, and of the process where it still runs."""
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._process.poll() is None:
            _kill(self._process)

    def _is_said_to(self) -> bool:
        """Tell whether one of its outputs is open."""
        return any(key.events == selectors.EVENT_READ for key in self._selector.get_map().values())

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._process.stdin.fileno(), self._left) :]  # type: ignore[union-attr]
        except BrokenPipeError:  # it does not want to know
            self._left, self._given = b"", iter(())
        self._left = self._left or next(self._given, b"")
        if not self._left and self._process.stdin is not None:
            self._selector.unregister(self._process.stdin)
            self._process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
