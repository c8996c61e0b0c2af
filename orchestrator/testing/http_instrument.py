"""An instrument that is not there, over HTTP: ``python -m orchestrator.testing.http_instrument``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from orchestrator.testing.furnace import SPECTRUM, Furnace

if TYPE_CHECKING:
    import argparse


class HttpInstrument(ThreadingHTTPServer):
    """The furnace of `orchestrator.testing.furnace` behind HTTP, for this machine alone; it forgets all when it ends.

    ``GET /counts`` says how often each token was really measured. ``fails`` lets it refuse every request, ``slow_sec``
    lets every answer wait, and with ``loses_first`` the answer is lost whenever a measurement begins.
    """

    daemon_threads = True

    def __init__(
        self,
        *,
        port: int = 0,
        seconds: float = 1.0,
        fails: bool = False,
        slow_sec: float = 0.0,
        loses_first: bool = False,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.furnace = Furnace(seconds=seconds)
        self.fails = fails
        self.slow_sec = slow_sec
        self.loses_first = loses_first
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Give its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def counts(self) -> dict[str, int]:
        """Tell how often each token was really measured."""
        return {token: kept["measured"] for token, kept in self.furnace.kept.items()}


class _Conversation(BaseHTTPRequestHandler):
    server: HttpInstrument

    def do_PUT(self) -> None:
        """Begin a measurement."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.fails:
            return self._answer(422, {"error": "the door is open"})
        with self.server.lock:
            known = len(self.server.furnace.kept)
            answer = self.server.furnace.start(request)
            is_begun = len(self.server.furnace.kept) > known
        if is_begun and self.server.loses_first:
            self.close_connection = True
            return None
        return self._answer(200, answer)

    def do_GET(self) -> None:
        """Say how a measurement stands, give a file of it, or tell what was measured."""
        token, _, name = self._token()
        with self.server.lock:
            if self.path == "/counts":
                return self._answer(200, self.server.counts)
            answer = self.server.furnace.poll(token)
            spectrum = self.server.furnace.film(token).spectrum if answer.get("files") else b""
        if name:
            is_there = name == SPECTRUM and bool(spectrum)
            return self._send(200 if is_there else 404, spectrum, "text/csv")
        return self._answer(404 if answer["state"] == "unknown" else 200, answer)

    def do_DELETE(self) -> None:
        """End a measurement."""
        with self.server.lock:
            answer = self.server.furnace.abort(self._token()[0])
        return self._answer(404 if answer["state"] == "unknown" else 200, answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that the library gives it
        """Say nothing."""

    def _token(self) -> tuple[str, str, str]:
        token, files, name = self.path.removeprefix("/measurements/").partition("/files/")
        return unquote(token), files, unquote(name)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        time.sleep(self.server.slow_sec)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(words: Sequence[str] | None = None) -> None:
    """Print the address, and serve until somebody ends it."""
    options = _options(words)
    with HttpInstrument(
        port=options.port,
        seconds=options.seconds,
        fails=options.fail,
        slow_sec=options.slow,
        loses_first=options.lose_first,
    ) as instrument:
        sys.stdout.write(f"{instrument.url}\n")
        sys.stdout.flush()
        instrument.serve_forever()


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    import argparse

    parser = argparse.ArgumentParser(prog="http_instrument", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a measurement takes")
    parser.add_argument("--fail", action="store_true", help="refuse every request")
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="how long every answer waits")
    parser.add_argument("--lose-first", action="store_true", help="lose the answer whenever a measurement begins")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
