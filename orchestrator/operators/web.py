"""Send one HTTP request and take the answer within a time and a size, without following redirects."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from orchestrator.jsonsafe import JsonValue, dumps

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

_CHUNK = 1 << 16


class UnreachableError(Exception):
    """There was no whole answer; the text says why, and never the address, which may hold a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """An answer: its status, and its body."""

    status: int
    body: bytes


def send(
    method: str, url: str, document: Mapping[str, JsonValue] | None = None, *, timeout_sec: float, cap: int
) -> Replied:
    """Send a request, with a JSON document where one is given, and read an answer of at most ``cap`` bytes.

    Raises `UnreachableError`.
    """
    with answering(method, url, document, timeout_sec=timeout_sec) as response:
        body = b"".join(pieces(response, cap))
        return Replied(status=response.status, body=body)


@contextlib.contextmanager
def answering(
    method: str, url: str, document: Mapping[str, JsonValue] | None = None, *, timeout_sec: float
) -> Iterator[HTTPResponse]:
    """Send a request and hold its answer while the block lasts, but for no longer than ``timeout_sec`` in all.

    Raises `UnreachableError`, also for what goes wrong while the block reads.
    """
    from http.client import HTTPException

    body = None if document is None else dumps(document).encode()
    headers = {"Content-Type": "application/json"} if body else {}
    connection, target = _connection(url, timeout_sec)
    with contextlib.closing(connection), _Limit(timeout_sec) as limit:
        try:
            connection.connect()
            limit.cuts(connection.sock)
            connection.request(method, target, body=body, headers={**headers, "Accept": "application/json"})
            with connection.getresponse() as response:
                yield response
        except (OSError, HTTPException, UnreachableError) as error:
            raise UnreachableError(limit.reason or _reason(error)) from None


def pieces(response: HTTPResponse, cap: int) -> Iterator[bytes]:
    """Give the body of an answer in pieces; raise `UnreachableError` above ``cap`` bytes, or where it is not whole."""
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > cap:
            raise UnreachableError(f"the answer has more than {cap} bytes")
        yield chunk
    if response.length:
        raise UnreachableError("the answer is not whole")


class _Limit:
    """A time for all that is done with a connection, however little comes each time."""

    def __init__(self, timeout_sec: float) -> None:
        self.reason = ""
        self._timeout_sec = timeout_sec
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(timeout_sec, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def cuts(self, connected: socket.socket) -> None:
        """Let the time hold for this connection."""
        self._socket = connected
        if self.reason:
            self._cut()

    def _cut(self) -> None:
        self.reason = f"there was no whole answer within {self._timeout_sec:g} seconds"
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # under TLS too, without a word of farewell


def _connection(url: str, timeout_sec: float) -> tuple[HTTPConnection, str]:
    """Give a connection that is not open yet, and what is asked for; no proxy of the environment has a say."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        parts = urlsplit(url)
        if parts.scheme not in kinds or not parts.hostname or parts.username is not None:
            raise UnreachableError("the address is none of http or https")
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=timeout_sec)
    except (ValueError, HTTPException):
        raise UnreachableError("the address cannot be read") from None
    return connection, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _reason(error: Exception) -> str:
    """Say what went wrong, by words that hold nothing of the address."""
    if isinstance(error, UnreachableError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "there was no answer in time"
    if isinstance(error, ConnectionError | socket.gaierror) and error.strerror:
        return error.strerror.lower()
    return f"the connection failed ({type(error).__name__})"
