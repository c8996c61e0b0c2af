"""Reach a site over SSH: one connection, a few commands on it at once, and no more logins than a site likes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.clock import jittered, monotonic
from orchestrator.errors import AnswerLateError, AnswerLostError, SiteAwayError
from orchestrator.remote.connection import Connection, Limit, Pace, connected, first_unknown
from orchestrator.remote.exchange import Exchange, LateError, LostError
from orchestrator.remote.faults import reason
from orchestrator.remote.framing import Ended
from orchestrator.remote.known_hosts import HostKey
from orchestrator.remote.login import Ask, Person
from orchestrator.remote.ssh_config import Hop, Login, way_to
from orchestrator.remote.transport import Transport

if TYPE_CHECKING:
    from paramiko import Channel

MOST_CHANNELS = 4
REOPEN_SEC = 10.0
REOPEN_MOST_SEC = 300.0

# A command that is stuck inside the library is ended together with the connection, this much after its time.
_AFTER_SEC = 0.5


class SshTransport(Transport):
    """Reaches a site over SSH, as the user's SSH configuration and ``login`` say.

    Host keys must be known. ``ask`` is called during one login alone, for what each host on the way wants somebody to
    type; where there is nobody to ask, such a site needs login. A connection that failed is opened anew by the next who
    needs it, not before some seconds have passed; a refused login, or a changed host key, is final for this object.
    Where the SSH configuration cannot be followed, whoever asks for something gets `UsageError`.
    """

    def __init__(
        self,
        site: str,
        login: Login,
        *,
        ask: Ask | None = None,
        pace: Pace | None = None,
        reopen_sec: float = REOPEN_SEC,
    ) -> None:
        super().__init__(site)
        self._login = login
        self._person = Person(ask)
        self._pace = pace or Pace()
        self._gate = _Gate(reopen_sec)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_CHANNELS)
        self._connection: Connection | None = None

    def open(self) -> None:
        """Connect and log in, unless that is done."""
        self._connected()

    def close(self) -> None:
        """Close the connection; the next one may be opened at once."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._gate.passed()
        if connection is not None:
            connection.close()

    def unknown_host(self) -> tuple[Hop, HostKey] | None:
        """Give the first host on the way whose key is not known, without logging in to it."""
        return first_unknown(way_to(self._login), self.site, self._person, self._pace)

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is not None and self._connection.is_alive:
                return self._connection
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._gate.enter(self.site)
            try:
                self._connection = connected(way_to(self._login), self.site, self._person, self._pace)
            except SiteAwayError as error:
                error.again_sec = self._gate.failed(error)
                raise
            self._gate.passed_but_waits()
            return self._connection

    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> Generator[bytes, None, Ended]:
        deadline = monotonic() + deadline_sec
        with self._slot(deadline_sec):
            connection = self._connected()
            with Limit(connection.socket, max(0.0, deadline - monotonic()) + _AFTER_SEC) as limit:
                channel = self._channel(connection, deadline)
                exchange = Exchange(channel, line, given, deadline)
                with _closing(channel), self._translating(exchange, connection, limit, deadline_sec):
                    return (yield from exchange.pieces())

    @contextlib.contextmanager
    def _slot(self, deadline_sec: float) -> Iterator[None]:
        """Hold one of the channels that a site may have open at once."""
        if not self._slots.acquire(timeout=deadline_sec):
            message = f"{self.site}: {MOST_CHANNELS} commands are running, and none ended in time"
            raise SiteAwayError(message, hint="it is tried again")
        try:
            yield
        finally:
            self._slots.release()

    def _channel(self, connection: Connection, deadline: float) -> Channel:
        from paramiko.ssh_exception import SSHException

        try:
            return connection.channel(max(0.0, deadline - monotonic()))
        except (SSHException, EOFError, OSError) as error:
            # The library calls a connection alive until its own thread has noticed that it is not.
            if not isinstance(error, SSHException):
                connection.close()
            message = f"{self.site}: no command can be started: {reason(error)}"
            raise SiteAwayError(message, hint="it is tried again") from error

    @contextlib.contextmanager
    def _translating(
        self, exchange: Exchange, connection: Connection, limit: Limit, deadline_sec: float
    ) -> Iterator[None]:
        """Say by the error whether the command may have been carried out."""
        from paramiko.ssh_exception import SSHException

        try:
            yield
        except (LateError, LostError, SSHException, EOFError, OSError) as error:
            is_late = limit.is_over or isinstance(error, LateError)
            why = f"there was no answer within {deadline_sec:g} seconds" if is_late else _lost(error, connection)
            if not exchange.is_sent:
                message = f"{self.site}: a command could not be sent: {why}"
                raise SiteAwayError(message, hint="it is tried again") from error
            kind = AnswerLateError if is_late else AnswerLostError
            message = f"{self.site}: the answer to a command was lost: {why}"
            raise kind(message, hint="see what became of it") from error


class _Gate:
    """Says when a connection may be opened: some time after the last one, longer after each that failed."""

    def __init__(self, reopen_sec: float) -> None:
        self._reopen_sec = reopen_sec
        self._failures = 0
        self._why = ""
        self._not_before = 0.0
        self._final: SiteAwayError | None = None

    def enter(self, site: str) -> None:
        """Raise what is final, or `SiteAwayError` where it is too early."""
        if self._final is not None:
            raise self._final.with_traceback(None)
        wait_sec = self._not_before - monotonic()
        if wait_sec > 0:
            message = self._why or f"{site} cannot be reached anew so soon"
            raise SiteAwayError(message, hint=f"it is tried again in {wait_sec:.0f} seconds", again_sec=wait_sec)

    def failed(self, error: SiteAwayError) -> float | None:
        """Take note of a failure; give how long to wait, and None for ever."""
        if error.is_final:
            self._final = error
            return None
        self._failures += 1
        self._why = error.message
        return self._wait(min(REOPEN_MOST_SEC, self._reopen_sec * 2 ** min(self._failures - 1, 10)))

    def passed_but_waits(self) -> None:
        """Take note of a success; should it not last, the next is not at once."""
        self._failures, self._why = 0, ""
        self._wait(self._reopen_sec)

    def passed(self) -> None:
        """Let the next one in at once, unless the last ones failed."""
        if not self._failures:
            self._not_before = 0.0

    def _wait(self, sec: float) -> float:
        wait_sec = jittered(sec)
        self._not_before = monotonic() + wait_sec
        return wait_sec


@contextlib.contextmanager
def _closing(channel: Channel) -> Iterator[None]:
    """Close a channel afterwards; that it can no more be told to the other side changes nothing."""
    from paramiko.ssh_exception import SSHException

    try:
        yield
    finally:
        with contextlib.suppress(SSHException, EOFError, OSError):
            channel.close()


def _lost(error: BaseException, connection: Connection) -> str:
    if not isinstance(error, LostError):
        return reason(error)
    return "the shell there was killed" if connection.is_alive else reason(connection.fault)
