"""Run the program as people do: as a process of its own, started in the folder of a project."""

from __future__ import annotations

import json
import os
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-P", "-m", "orchestrator")

_PATIENCE_SEC = 240.0

# What is started in a project, and all that it starts, is known by this variable.
_MARK = "STARTED_IN_PROJECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that has ended: its exit status, negative for a signal, all that it said, and how long it took."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def answer(self) -> Any:  # noqa: ANN401  any JSON value
        """Give the JSON value of standard output, which holds one line and nothing else."""
        assert self.stdout.endswith("\n"), self.stdout
        assert self.stdout.count("\n") == 1, self.stdout
        return json.loads(self.stdout)

    @property
    def table(self) -> list[dict[str, str]]:
        """Give the rows of a table of tab-separated values by the names in its head."""
        head, *rows = (line.split("\t") for line in self.stdout.splitlines())
        return [dict(zip(head, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder with a project's settings in which the program is started."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project, with the folders above it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def call(
        self,
        *words: str,
        command: Sequence[str] = COMMAND,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """Run the program with these words and wait for its end."""
        began = time.monotonic()
        ended = subprocess.run(
            [*command, *words],
            input=stdin.encode(),
            capture_output=True,
            check=False,
            cwd=cwd or self.folder,
            env=self._environment(env),
            timeout=_PATIENCE_SEC,
        )
        seconds = time.monotonic() - began
        stdout, stderr = ended.stdout.decode(), ended.stderr.decode()
        return Ended(status=ended.returncode, stdout=stdout, stderr=stderr, seconds=seconds)

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the program with these words; `finish` waits for its end."""
        return subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environment(env),
        )

    def survivors(self) -> list[int]:
        """Give the processes that were started here and do not end in time."""
        mark = f"{_MARK}={self.folder}\0"
        return [pid for pid in processes_with(mark) if not _ends_within(pid, _PATIENCE_SEC)]

    def run_folders(self) -> list[Path]:
        """Give the run directories of all workspaces, oldest first."""
        found = (path.parent for path in self.folder.glob("workspaces/**/runs/[0-9]*/state.sqlite"))
        return sorted(found, key=_began)

    def events(self) -> list[tuple[str, Any]]:
        """Give the kinds and contents of what the last run recorded, in order."""
        with closing(sqlite3.connect(self.run_folders()[-1] / "state.sqlite")) as database:
            rows = database.execute("SELECT kind, payload_json FROM events ORDER BY seq").fetchall()
        return [(kind, json.loads(payload)) for kind, payload in rows]

    def _environment(self, changes: Mapping[str, str] | None) -> dict[str, str]:
        return environment({_MARK: str(self.folder), **(changes or {})})


def _began(run: Path) -> tuple[str, int]:
    """Order runs of one second by the time of their recipe, which a run of MatterStack 0.2.x may have none of."""
    recipe = run / "recipe.yaml"
    return (run.name[:15], recipe.stat().st_mtime_ns if recipe.exists() else 0)


def make_project(folder: Path) -> Project:
    """Make a project that holds nothing but its settings."""
    folder.mkdir(parents=True)
    (folder / "matterstack.toml").touch()
    return Project(folder=folder)


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a process that was started."""
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=_PATIENCE_SEC)
    return Ended(status=process.returncode, stdout=stdout, stderr=stderr, seconds=time.monotonic() - began)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    patience = time.monotonic() + _PATIENCE_SEC
    while not holds():
        assert time.monotonic() < patience, "it never came to that"
        time.sleep(0.05)


def reads(process: subprocess.Popen[str], text: str) -> str:
    """Read the standard error of a process until a line of it holds a text, and give that line.

    What follows it at once is lost to `finish`.
    """
    assert process.stderr is not None
    found = next((line for line in process.stderr if text in line), None)
    assert found is not None, f"it never said {text!r}"
    return found


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give an environment in which the checkout is the program and no setting of the outer one counts."""
    fixed = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    return {**fixed, **(changes or {})}


def processes_with(text: str) -> Iterator[int]:
    """Give the processes, other than zombies, whose environment holds a text; none where the system does not tell."""
    wanted = text.encode()
    for entry in Path("/proc").glob("[0-9]*"):
        if wanted in _bytes_of(entry / "environ"):
            yield int(entry.name)


def read_pipe(path: Path) -> str:
    """Wait until somebody has written to a named pipe, and give what."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert select.select([descriptor], [], [], _PATIENCE_SEC)[0], f"nobody wrote to {path}"
        return os.read(descriptor, 4096).decode()
    finally:
        os.close(descriptor)


def _ends_within(pid: int, seconds: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
