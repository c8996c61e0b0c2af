"""Instruments that are not there, one for each way of reaching them, all of which are the same furnace behind it."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.files import replace_file
from orchestrator.layout import ABORT, REQUEST, RESULT
from orchestrator.operators.instruments.measurement import Instrument, Request
from orchestrator.operators.instruments.registry import ExperimentBackend, instrument_for
from orchestrator.testing.furnace import SPECTRUM, Furnace
from orchestrator.testing.http_instrument import HttpInstrument
from orchestrator.wiring.model import CommandBackend, FilesBackend, HttpBackend

FIRST = "a1"
SETTINGS = {"temperature_c": 1000, "minutes": 60}
DRIVER = (sys.executable, "-m", "orchestrator.testing.furnace")


class Laboratory(ABC):
    """A furnace, and the backend by which it is reached."""

    backend: ExperimentBackend

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def instrument(self) -> Instrument:
        """Give the instrument as a process that has just begun sees it."""
        return instrument_for("experiment.furnace", self.backend)

    def request(self, token: str = FIRST, **settings: Any) -> Request:  # noqa: ANN401  as a recipe may give them
        """Give a request for a wafer, in a folder of its own."""
        folder = self.folder / "attempts" / token
        return Request(token=token, task_id=f"grow_{token}", folder=folder, parameters={**SETTINGS, **settings})

    @abstractmethod
    def kept(self) -> dict[str, dict[str, Any]]:
        """Tell what the furnace remembers."""

    def measured(self) -> dict[str, int]:
        """Tell how often it measured for each token."""
        return {token: entry["measured"] for token, entry in list(self.kept().items())}


class FilesLaboratory(Laboratory):
    """Somebody looks for request files in the background, and answers them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder)
        self.backend = FilesBackend(type="files")
        self._furnace = Furnace(seconds=seconds)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @contextmanager
    def open(self) -> Iterator[FilesLaboratory]:
        """Watch while the block lasts."""
        self._thread.start()
        yield self
        self._ended.set()
        self._thread.join()

    def kept(self) -> dict[str, dict[str, Any]]:
        """Tell what the furnace remembers."""
        return self._furnace.kept

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            for path in (self.folder / "attempts").glob(f"*/{REQUEST}"):
                if not (path.parent / RESULT).exists():
                    self._serve(json.loads(path.read_bytes()), path.parent)

    def _serve(self, request: dict[str, Any], folder: Path) -> None:
        token = request["token"]
        answer = self._furnace.poll(token)
        if answer["state"] == "unknown":
            answer = self._furnace.start(request)
        if (folder / ABORT).exists():
            answer = self._furnace.abort(token)
        if answer.pop("state") == "ended":
            if "files" in answer:
                (folder / SPECTRUM).write_bytes(self._furnace.film(token).spectrum)
            replace_file(folder / RESULT, json.dumps(answer).encode())


class CommandLaboratory(Laboratory):
    """The driver program of the furnace."""

    def __init__(self, folder: Path, seconds: float, *words: str) -> None:
        super().__init__(folder)
        command = (*DRIVER, "--state", str(folder / "furnace"), "--seconds", str(seconds), *words)
        self.backend = CommandBackend(type="command", command=command)

    def kept(self) -> dict[str, dict[str, Any]]:
        """Tell what the furnace remembers."""
        path = self.folder / "furnace" / "furnace.json"
        found: dict[str, dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else {}
        return found


class HttpLaboratory(Laboratory):
    """The furnace behind HTTP."""

    def __init__(self, folder: Path, seconds: float, *, loses_first: bool = False) -> None:
        super().__init__(folder)
        self.server = HttpInstrument(seconds=seconds, loses_first=loses_first)
        self.backend = HttpBackend(type="http", url=self.server.url)

    @contextmanager
    def open(self) -> Iterator[HttpLaboratory]:
        """Serve while the block lasts."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        thread.start()
        yield self
        self.server.shutdown()
        thread.join()
        self.server.server_close()

    def kept(self) -> dict[str, dict[str, Any]]:
        """Tell what the furnace remembers."""
        return self.server.furnace.kept


@contextmanager
def laboratory(kind: str, folder: Path, seconds: float, *, loses_first: bool = False) -> Iterator[Laboratory]:
    """Open a laboratory of a kind; ``loses_first`` lets the answer be lost whenever a measurement begins."""
    if kind == "command":
        yield CommandLaboratory(folder, seconds, *(["--lose-first"] if loses_first else []))
    elif kind == "http":
        with HttpLaboratory(folder, seconds, loses_first=loses_first).open() as http:
            yield http
    else:
        with FilesLaboratory(folder, seconds).open() as files:
            yield files


def sha256(content: bytes) -> str:
    """Give the digest of a file's content."""
    return hashlib.sha256(content).hexdigest()
