"""Measure what this machine charges for the least that durability and processes need."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import apsw

COMMITS = 400
SPAWNS = 100


def commit_ms(folder: Path) -> float:
    """Give the milliseconds of one durable commit: one row into SQLite, WAL, synchronous=FULL."""
    path = folder / f"floor-{time.monotonic_ns()}.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (v) VALUES (?)", ("x" * 50,))
        connection.execute("COMMIT")

    cost = _mean_ms(commit, COMMITS)
    connection.close()
    return cost


def spawn_ms() -> float:
    """Give the milliseconds of starting and awaiting the smallest program."""

    def spawn() -> None:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)

    return _mean_ms(spawn, SPAWNS)


def _mean_ms(call: Callable[[], None], count: int) -> float:
    """Give the median over five batches of the mean cost of a call."""
    batches = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count // 5):
            call()
        batches.append((time.perf_counter() - began) / (count // 5) * 1e3)
    return statistics.median(batches)
