"""Measure what this machine charges for the least that durability and processes need."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

COMMITS = 300
SPAWNS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Milliseconds of one durable commit, and of starting and awaiting one small program."""

    commit_ms: float
    spawn_ms: float

    def mean_with(self, other: Floors) -> Floors:
        """Give the mean of two measurements, as of before and after a benchmark."""
        return Floors(commit_ms=(self.commit_ms + other.commit_ms) / 2, spawn_ms=(self.spawn_ms + other.spawn_ms) / 2)


def measure_floors(folder: Path, command: Sequence[str]) -> Floors:
    """Measure both floors, the commit in ``folder``."""
    return Floors(commit_ms=_commit_ms(folder), spawn_ms=_spawn_ms(command))


def _commit_ms(folder: Path) -> float:
    """Commit one row at a time into SQLite, journal_mode=WAL, synchronous=FULL."""
    connection = apsw.Connection(str(folder / f"floor-{time.monotonic_ns()}.sqlite"))
    for sql in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
    ):
        connection.execute(sql)

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (v) VALUES (?)", ("x" * 50,))
        connection.execute("COMMIT")

    cost = _median_ms(commit, COMMITS)
    connection.close()
    return cost


def _spawn_ms(command: Sequence[str]) -> float:
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)

    def spawn() -> None:
        os.waitpid(os.posix_spawn(command[0], list(command), os.environ, file_actions=[null]), 0)

    return _median_ms(spawn, SPAWNS)


def _median_ms(call: Callable[[], None], count: int) -> float:
    """Give the median over five batches of the mean cost of a call."""
    batches = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count // 5):
            call()
        batches.append((time.perf_counter() - began) / (count // 5) * 1e3)
    return statistics.median(batches)
