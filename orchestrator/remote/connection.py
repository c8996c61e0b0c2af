"""One SSH connection: sockets, hosts on the way, host keys, and the pulse by which a dead one is noticed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from orchestrator.clock import monotonic
from orchestrator.errors import HostKeyError, SiteAwayError
from orchestrator.remote.faults import reason
from orchestrator.remote.known_hosts import HostKey, Verdict, known_of
from orchestrator.remote.login import Person, log_in
from orchestrator.remote.ssh_config import Hop

if TYPE_CHECKING:
    from paramiko import Channel, Transport

# A connection that is lost without a word is noticed within the sum of the two.
PULSE_SEC = 10.0
SILENCE_SEC = 30.0

_LOGGER = "paramiko"


class SilentError(ConnectionError):
    """Nothing came for too long; of another kind than a time-out, after which the library would listen on."""


class WatchedSocket(socket.socket):
    """A TCP connection that fails by itself where something was sent and nothing comes for too long."""

    silence_sec = SILENCE_SEC
    _sent_at: float | None = None

    def send(self, content: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """Send, and from now on expect something."""
        if self._sent_at is None:
            self._sent_at = monotonic()
        try:
            return super().send(content, flags)
        except TimeoutError:
            self._mind_silence()
            raise

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, and be content."""
        try:
            content = super().recv(size, flags)
        except TimeoutError:
            self._mind_silence()
            raise
        self._sent_at = None
        return content

    def cut(self) -> None:
        """Wake whoever waits for it, with an end of the connection."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def _mind_silence(self) -> None:
        if self._sent_at is not None and monotonic() - self._sent_at > self.silence_sec:
            raise SilentError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


class Limit:
    """A time for what is done with a connection; once it is over the connection is cut."""

    def __init__(self, watched: WatchedSocket, sec: float) -> None:
        self.is_over = False
        self._socket = watched
        self._timer = self._started(sec)

    def __enter__(self) -> Self:
        """Give it; the time runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the connection be."""
        self._timer.cancel()

    def extend(self, sec: float) -> None:
        """Begin anew with another time."""
        self._timer.cancel()
        self._timer = self._started(sec)

    def _started(self, sec: float) -> threading.Timer:
        timer = threading.Timer(sec, self._cut)
        timer.daemon = True
        timer.start()
        return timer

    def _cut(self) -> None:
        self.is_over = True
        self._socket.cut()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a connection shows a sign of life, and how long it may be silent after something was sent."""

    pulse_sec: float = PULSE_SEC
    silence_sec: float = SILENCE_SEC


class Connection:
    """A connection to the last of some hosts, over the others; made by `connected`."""

    def __init__(self, watched: WatchedSocket, transports: Sequence[Transport], pulse_sec: float) -> None:
        self.socket = watched
        self._transports = transports
        self._closing = threading.Event()
        threading.Thread(target=self._pulse, args=(pulse_sec,), daemon=True).start()

    @property
    def is_alive(self) -> bool:
        """Tell whether it can be used, as far as anybody noticed."""
        return self._transports[-1].is_active()

    @property
    def fault(self) -> BaseException | None:
        """Give why it failed, where that is known; it was then noticed by the first host's connection."""
        return self._transports[0].get_exception()

    def channel(self, timeout_sec: float) -> Channel:
        """Open a channel; raises what the library raises."""
        return self._transports[-1].open_session(timeout=timeout_sec)

    def close(self) -> None:
        """Close it and the connections below it."""
        self._closing.set()
        for transport in reversed(self._transports):
            transport.close()
        self.socket.cut()
        self.socket.close()

    def _pulse(self, sec: float) -> None:
        """Ask for a sign of life now and then; the socket notices where none comes."""
        from paramiko.ssh_exception import SSHException

        with contextlib.suppress(SSHException, EOFError, OSError):
            while not self._closing.wait(sec) and self.is_alive:
                self._transports[-1].global_request("keepalive@openssh.com")


def connected(hops: Sequence[Hop], site: str, person: Person, pace: Pace) -> Connection:
    """Connect to hosts one over the other, check the key of each, and log in.

    Raises `SiteAwayError` or one of its kinds.
    """
    with person.during_login(), _connecting(hops, site, pace) as (watched, limit):
        transports: list[Transport] = []
        try:
            for hop in hops:
                transports.append(_started(_link(watched, transports, hop), hop))
                _check_key(transports[-1], hop, site)
                log_in(transports[-1], hop, site, person, limit.extend)
                limit.extend(hop.connect_sec)
        except BaseException:
            for transport in reversed(transports):
                transport.close()
            raise
        return Connection(watched, transports, pace.pulse_sec)


def first_unknown(hops: Sequence[Hop], site: str, person: Person, pace: Pace) -> tuple[Hop, HostKey] | None:
    """Give the first host on the way whose key is not known, with the key; None where all are.

    Nobody logs in to it. Raises `SiteAwayError` or one of its kinds, among them `HostKeyError` for a changed key.
    """
    with person.during_login(), _connecting(hops, site, pace) as (watched, limit):
        transports: list[Transport] = []
        try:
            for hop in hops:
                transports.append(_started(_link(watched, transports, hop), hop))
                key = _key_of(transports[-1])
                if known_of(hop).verdict(key) is Verdict.UNKNOWN:
                    return hop, key
                _check_key(transports[-1], hop, site)
                if hop is not hops[-1]:
                    log_in(transports[-1], hop, site, person, limit.extend)
        finally:
            for transport in reversed(transports):
                transport.close()
            watched.close()
    return None


@contextlib.contextmanager
def _connecting(hops: Sequence[Hop], site: str, pace: Pace) -> Iterator[tuple[WatchedSocket, Limit]]:
    """Hold a socket to the first host, within a time; translate what fails, and then close it."""
    from paramiko.ssh_exception import SSHException

    _hush()
    limit = None
    try:
        watched = _socket_to(hops[0], pace)
        limit = Limit(watched, hops[0].connect_sec)
        with limit:
            try:
                yield watched, limit
            except BaseException:
                watched.close()
                raise
    except (OSError, EOFError, SSHException) as error:
        why = "there was no answer in time" if limit is not None and limit.is_over else reason(error)
        raise SiteAwayError(f"{site} cannot be reached: {_names(hops)}: {why}", hint="it is tried again") from error


def _socket_to(hop: Hop, pace: Pace) -> WatchedSocket:
    plain = socket.create_connection((hop.host, hop.port), timeout=hop.connect_sec)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    watched = WatchedSocket(fileno=plain.detach())
    watched.settimeout(hop.connect_sec)
    watched.silence_sec = pace.silence_sec
    return watched


def _link(watched: WatchedSocket, transports: Sequence[Transport], hop: Hop) -> socket.socket | Channel:
    """Give what leads to a host: the socket, or a channel of the host before it."""
    if not transports:
        return watched
    return transports[-1].open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=hop.connect_sec)


def _started(link: socket.socket | Channel, hop: Hop) -> Transport:
    """Begin SSH, and ask for a host key of a kind that is known, where one is."""
    from paramiko import Transport
    from paramiko.ssh_exception import SSHException

    transport = Transport(link)
    transport.banner_timeout = transport.handshake_timeout = hop.connect_sec
    options = transport.get_security_options()
    known = {kind.replace("ssh-rsa", "rsa-sha2") for kind in known_of(hop).kinds}
    options.key_types = sorted(options.key_types, key=lambda kind: not any(kind.startswith(name) for name in known))
    try:
        transport.start_client(timeout=hop.connect_sec)
        transport.get_remote_server_key()
    except (SSHException, EOFError, OSError):
        transport.close()
        raise
    return transport


def _key_of(transport: Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(kind=key.get_name(), blob=key.asbytes())


def _check_key(transport: Transport, hop: Hop, site: str) -> None:
    key = _key_of(transport)
    verdict = known_of(hop).verdict(key)
    if verdict is Verdict.UNKNOWN:
        raise HostKeyError(
            f"{site}: the {key.kind} key of {hop.known_as} is not known: {key.fingerprint}",
            fingerprint=key.fingerprint,
            hint=f"compare it with what the site publishes, then: matterstack operators trust-host {site}",
            has_changed=False,
        )
    if verdict is Verdict.CHANGED:
        raise HostKeyError(
            f"{site}: the key of {hop.known_as} has changed, somebody may be listening: {key.fingerprint}",
            fingerprint=key.fingerprint,
            hint=f"ask the site; if it has a new key: ssh-keygen -R '{hop.known_as}', then: "
            f"matterstack operators trust-host {site}",
            has_changed=True,
        )


def _hush() -> None:
    """Let the library write no log: what fails is raised, and nothing that is typed may be written down."""
    logger = logging.getLogger(_LOGGER)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _names(hops: Sequence[Hop]) -> str:
    return " over ".join(f"{hop.host} port {hop.port}" for hop in reversed(hops))
