"""A TCP proxy on loopback whose connections can be stalled, slowed and cut.

In a test:

    with FaultProxy(target_port) as proxy:
        connect(proxy.port); proxy.stall(); ...; proxy.resume(); proxy.cut()

By hand: ``faultproxy.py TARGET_PORT [PORT]`` reads from stdin the names of the
methods below, one a line, with their argument (``stall``, ``slow 0.2``, ...).
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from typing import Self


class FaultProxy:
    """Relays ``127.0.0.1:port`` to ``127.0.0.1:target_port``."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self.target_port = target_port
        self.delay = 0.0
        self.budget: int | None = None  # bytes that still pass before everything is cut
        self.refusing = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Hold back every byte, both ways; connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Undo stall, slow and refuse."""
        self.delay, self.refusing = 0.0, False
        self._flowing.set()

    def slow(self, seconds: float) -> None:
        """Delay each piece of data (64 KiB at most) by so many seconds."""
        self.delay = float(seconds)

    def refuse(self) -> None:
        """Reset each new connection at once; open ones go on."""
        self.refusing = True

    def cut(self) -> None:
        """Reset all open connections; new ones are accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            _reset(sock)

    def cut_after(self, count: int) -> None:
        """Cut once so many more bytes, both ways together, have passed."""
        self.budget = int(count)

    def close(self) -> None:
        """Relay no more, and reset what is open."""
        _reset(self._listener)
        self.cut()
        self._flowing.set()

    def __enter__(self) -> Self:
        """Give it; it relays already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                _reset(near)
                continue
            with self._lock:
                self._sockets |= {near, far}
            for pair in ((near, far), (far, near)):
                pair[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(self.delay)
                self._flowing.wait()
                passes = self._spend(len(data))
                sink.sendall(data[:passes])
                if passes < len(data):
                    self.cut()
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _spend(self, count: int) -> int:
        """Give how many of so many bytes pass before everything is cut."""
        with self._lock:
            if self.budget is None:
                return count
            passes = min(count, self.budget)
            self.budget = self.budget - count if passes == count else None
            return passes


def _reset(sock: socket.socket) -> None:
    """Close with a TCP reset, and wake whoever is blocked on the socket."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    sock.close()


if __name__ == "__main__":
    proxy = FaultProxy(*map(int, sys.argv[1:3]))
    sys.stdout.write(f"{proxy.port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, *args = line.split()
        getattr(proxy, name)(*args)
