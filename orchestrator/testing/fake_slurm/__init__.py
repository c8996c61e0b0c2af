"""A Slurm cluster that is not there, for tests: its programs answer as Slurm's do, and its jobs run on this machine."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path
from typing import Any, Self

from orchestrator.testing.fake_slurm.cluster import (
    ACTIVE,
    PROGRAMS,
    command,
    is_alive,
    job_id,
    kill_group,
    made,
    opened,
)

__all__ = ["FakeSlurm"]


class FakeSlurm:
    """A cluster in a folder: four nodes of eight cores, two partitions, and programs in ``bin`` to be put on the PATH.

    Settings are those of `orchestrator.testing.fake_slurm.cluster.SETTINGS`; ``minute_sec`` shortens time limits.
    Leaving it as a context ends its jobs. No user is told from another.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401  of any type
        self.folder = folder
        self.bin = folder / "bin"
        made(folder, settings)
        self.bin.mkdir(exist_ok=True)
        for name in PROGRAMS:
            program = self.bin / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(command("programs", str(folder), name))} "$@"\n')
            program.chmod(0o755)

    def __enter__(self) -> Self:
        """Give it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its jobs."""
        self.close()

    def set(self, **settings: Any) -> None:  # noqa: ANN401  of any type
        """Change settings, such as ``controller="hung"``."""
        with opened(self.folder) as cluster:
            for name, value in settings.items():
                cluster.set(name, value)
            cluster.advance()

    def jobs(self) -> list[dict[str, Any]]:
        """Give all jobs that there ever were, in the order of their submission."""
        with opened(self.folder) as cluster:
            rows = cluster.rows.execute("SELECT * FROM jobs ORDER BY key").fetchall()
        return [{**dict(row), "job_id": job_id(row)} for row in rows]

    def end(self, wanted: str, state: str) -> None:
        """Have a job end in a state: NODE_FAIL, OUT_OF_MEMORY, PREEMPTED, BOOT_FAIL, DEADLINE, TIMEOUT, CANCELLED."""
        with opened(self.folder) as cluster:
            for job in cluster.jobs():
                if job_id(job) == wanted:
                    cluster.ask_to_end(job, state)

    def show(self, wanted: str, state: str) -> None:
        """Show a job in a state, whatever it does, such as one that nobody knows."""
        with opened(self.folder) as cluster:
            for job in cluster.jobs():
                if job_id(job) == wanted:
                    cluster.change(job["key"], state=state)

    def fail_node(self, name: str) -> None:
        """Lose a node, with what runs there."""
        with opened(self.folder) as cluster:
            cluster.set("down", [*cluster.setting("down"), name])
            for job in cluster.jobs():
                if job["node"] == name:
                    cluster.ask_to_end(job, "NODE_FAIL")

    def lose(self, wanted: str) -> None:
        """Forget a job, as a controller that crashes does; its number goes to the next one."""
        with opened(self.folder) as cluster:
            for job in cluster.jobs():
                if job_id(job) == wanted:
                    cluster.rows.execute("DELETE FROM jobs WHERE key = ?", (job["key"],))

    def close(self) -> None:
        """End all jobs, and wait until those who watch them are gone."""
        self.set(controller="up")
        with opened(self.folder) as cluster:
            for job in cluster.jobs():
                cluster.change(job["key"], held=1)
                cluster.ask_to_end(job, "CANCELLED")
        patience = time.monotonic() + 10
        for job in self.jobs():
            while job["state"] in ACTIVE and is_alive(job["supervisor"]) and time.monotonic() < patience:
                time.sleep(0.05)
            if job["state"] in ACTIVE and is_alive(job["supervisor"]):
                kill_group(job["supervisor"], signal.SIGKILL)
