"""Answer HTTP on this machine with the bytes that a test wants, however slowly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


class RawServer:
    """Gives each connection the same answer, piece by piece; what was asked is kept in ``asked``."""

    def __init__(self, pieces: Sequence[bytes], pause_sec: float) -> None:
        self.asked: list[bytes] = []
        self._pieces = pieces
        self._pause_sec = pause_sec
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """Give the address."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Answer until closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.asked.append(_heard(connection))
                    self._answer(connection)

    def close(self) -> None:
        """Accept nobody any more, and finish no answer."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        for piece in self._pieces:
            connection.sendall(piece)
            if self._closed.wait(self._pause_sec):
                return


def _heard(connection: socket.socket) -> bytes:
    """Give a request with its body."""
    heard = b""
    while (length := _length(heard)) is None or len(heard) < length:
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        heard += chunk
    return heard


def _length(heard: bytes) -> int | None:
    """Give how long a request is in all; None while one cannot tell."""
    head, end, _ = heard.partition(b"\r\n\r\n")
    if not end:
        return None
    _, _, rest = head.lower().partition(b"content-length: ")
    return len(head) + len(end) + int(rest.split()[0] if rest else 0)


@contextmanager
def answering_with(*pieces: bytes, pause_sec: float = 0.0) -> Iterator[RawServer]:
    """Serve while the block lasts."""
    server = RawServer(pieces, pause_sec)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.close()
    thread.join()
