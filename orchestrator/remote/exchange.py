"""One command over a channel: what it is given and what it writes flow side by side, so that neither waits."""

from __future__ import annotations

import select
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.clock import monotonic
from orchestrator.remote.contents import PIECE
from orchestrator.remote.framing import COMMAND, Ended
from orchestrator.workers.capture import Capture

if TYPE_CHECKING:
    from paramiko import Channel

STDERR_BYTES = 256 * 1024

# The library tells when there is something to read, and not when there is room to write.
_ROOM_SEC = 0.005
_LONGEST_SEC = 1.0


class LateError(Exception):
    """The time of a command is over."""


class LostError(Exception):
    """The channel was closed before the command's end was told."""


class Exchange:
    """A command of which nothing was sent yet; once ``is_sent`` it may be carried out, whatever is heard of it."""

    def __init__(self, channel: Channel, line: bytes, given: Iterable[bytes], deadline: float) -> None:
        self.is_sent = False
        self._channel = channel
        self._left = line
        self._given: Iterator[bytes] | None = iter(given)
        self._deadline = deadline
        self._stderr = Capture(cap=STDERR_BYTES, keep_tail=True)

    def pieces(self) -> Generator[bytes, None, Ended]:
        """Run it and give its standard output.

        Raises `LateError`, `LostError`, and what the library raises where the connection fails.
        """
        self._channel.exec_command(COMMAND)
        self._channel.settimeout(0.0)
        while True:
            if monotonic() > self._deadline:
                raise LateError
            has_ended = self._channel.eof_received or self._channel.closed
            gave = self._give()
            is_loud = self._channel.recv_stderr_ready()
            if is_loud:
                self._stderr.add(self._channel.recv_stderr(PIECE))
            if self._channel.recv_ready():
                yield self._channel.recv(PIECE)
            elif has_ended and not is_loud:
                return self._ended()
            elif not gave and not is_loud:
                self._wait()

    def _give(self) -> bool:
        """Send a piece, if there is one and room for it; tell whether there was."""
        if self._given is None:
            return False
        try:
            self.is_sent = True
            sent = self._channel.send(self._left)
        except TimeoutError:
            return False
        except OSError:  # it was closed, for the command has ended
            self._given = None
            return False
        self._left = self._left[sent:] or next(self._given, b"")
        if not self._left or not sent:
            self._given = None
            self._channel.shutdown_write()
        return True

    def _wait(self) -> None:
        left = _ROOM_SEC if self._given is not None else min(_LONGEST_SEC, max(0.0, self._deadline - monotonic()))
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.poll(left * 1000)

    def _ended(self) -> Ended:
        """Give how it ended, which may be told a little after its last word."""
        if not self._channel.status_event.wait(max(0.0, self._deadline - monotonic())):
            raise LateError
        if self._channel.exit_status < 0:
            raise LostError
        return Ended(exit_code=self._channel.exit_status, stderr=self._stderr.text())
