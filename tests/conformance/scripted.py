"""Instruments that say word for word what a test tells them to, however wrong it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from orchestrator.layout import RESULT
from orchestrator.operators.instruments.measurement import Request
from orchestrator.operators.instruments.registry import ExperimentBackend
from orchestrator.wiring.model import CommandBackend, FilesBackend, HttpBackend

RUNNING = b'{"state": "running"}'


class Script:
    """What an instrument says when it is asked for a result; before anything is said, it measures."""

    def __init__(self, backend: ExperimentBackend, folder: Path) -> None:
        self.backend = backend
        self._folder = folder

    @property
    def is_files(self) -> bool:
        """Tell whether results are files, which have no state."""
        return isinstance(self.backend, FilesBackend)

    def says(self, answer: bytes, request: Request) -> None:
        """Let this be the answer from here on."""
        path = request.folder / RESULT if self.is_files else self._folder / "poll"
        path.unlink(missing_ok=True)
        path.write_bytes(answer)


class ScriptedServer(ThreadingHTTPServer):
    """Answers GET with what stands in a file and PUT that it measures; all files it has are ``spectrum``."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.folder = folder


class _Scripted(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_GET(self) -> None:
        """Say what was told, or give a file."""
        if "/files/" in self.path:
            return self._send(b"spectrum")
        return self._send((self.server.folder / "poll").read_bytes())

    def do_PUT(self) -> None:
        """Begin."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(RUNNING)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that the library gives it
        """Say nothing."""

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def script(kind: str, folder: Path) -> Iterator[Script]:
    """Open an instrument of a kind that says what it is told to."""
    for verb in ("start", "poll", "abort"):
        (folder / verb).write_bytes(RUNNING)
    if kind == "files":
        yield Script(FilesBackend(type="files"), folder)
    elif kind == "command":
        yield Script(CommandBackend(type="command", command=("sh", "-c", f'exec cat "{folder}/$0"')), folder)
    else:
        with ScriptedServer(folder) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield Script(HttpBackend(type="http", url=f"http://127.0.0.1:{server.server_address[1]}"), folder)
            server.shutdown()
