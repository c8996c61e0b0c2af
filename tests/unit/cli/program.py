"""Run commands in this process, and see what they say to a pipe or to a terminal."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The exit status of a command, and all that it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:  # noqa: ANN401  any JSON value
        """Give the JSON value of standard output, which is one line and nothing else."""
        assert self.stdout.count("\n") == 1
        return json.loads(self.stdout)

    @property
    def rows(self) -> list[list[str]]:
        """Give the cells of a table of tab-separated values, its head first."""
        return [line.split("\t") for line in self.stdout.split("\n")[:-1]]


class Terminal:
    """A terminal that remembers what was written to it."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")

    def read(self) -> str:
        """Give what was written since the last look."""
        self.stream.flush()
        chunks = []
        while True:
            try:
                chunks.append(os.read(self._master, 1 << 16))
            except BlockingIOError:
                return b"".join(chunks).decode().replace("\r\n", "\n")

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
        os.close(self._master)
