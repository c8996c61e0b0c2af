"""A program that locks the state file and does not end is told of, and nothing that was recorded is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import StoreBusyError
from orchestrator.store import database as database_module
from orchestrator.store.database import FILE_NAME, Database, open_database, reading
from orchestrator.store.events import chain_fault
from orchestrator.store.leases import take
from orchestrator.store.queries import read_inputs, read_tasks
from orchestrator.store.runs import put_inputs
from tests.unit.workshop import Workshop, recipe, shell

HOLDER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a third of a second instead of half a minute."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 300)


@contextmanager
def locked(run_root: Path) -> Iterator[None]:
    """Let another program hold the write lock in the block."""
    command = [sys.executable, "-c", HOLDER, str(run_root / FILE_NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def test_F28_a_writer_that_does_not_end_is_told_of(database: Database, run_root: Path) -> None:  # noqa: N802  row of the fault matrix
    """What was to be written is not, and can be when the lock is gone; readers read all the while."""
    database.close()
    impatient = open_database(run_root / FILE_NAME)

    with locked(run_root), pytest.raises(StoreBusyError) as caught, impatient.transaction():
        put_inputs(impatient, {"argv": []})
    with reading(run_root) as reader:
        assert (read_inputs(reader), len(read_tasks(reader))) == ({}, 3)
    with impatient.transaction():
        put_inputs(impatient, {"argv": []})

    path = run_root / FILE_NAME
    assert caught.value.message == f"another program has kept the state file {path} locked for 0.3 seconds"
    assert list(read_inputs(impatient)) == ["argv"]
    assert chain_fault(impatient) == ""
    impatient.close()


def test_F28_a_runner_that_cannot_record_ends_and_the_next_goes_on(workshop: Workshop) -> None:  # noqa: N802  as above
    """The end of a step that was not recorded is one of a runner that died: it is attempted once more."""
    started = workshop.folder / "started"
    waits = f"touch {started}; for _ in $(seq 1200); do test -e go && break; sleep 0.05; done"
    text = recipe(shell("a", "true", "stdout: free"), shell("b", waits, "stdout: free"))
    errors: list[StoreBusyError] = []

    def drive() -> None:
        try:
            workshop.run(text, inline=False)
        except StoreBusyError as error:
            errors.append(error)

    runner = threading.Thread(target=drive)
    runner.start()
    while not started.exists():
        time.sleep(0.02)
    (root,) = workshop.folder.glob("workspaces/*/runs/*")
    with locked(root):
        (workshop.folder / "go").touch()
        runner.join()

    ran = workshop.resume(root)

    assert [error.code for error in errors] == ["MS508"]
    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert [[one.status.value for one in ran.attempts(name)] for name in ("a", "b")] == [
        ["COMPLETED"],
        ["LOST", "COMPLETED"],
    ]


def test_a_runner_that_need_not_write_outlives_the_lock(database: Database, run_root: Path) -> None:
    """Its heartbeat goes on afterwards, or other hosts would take it for dead."""
    database.close()
    impatient = open_database(run_root / FILE_NAME)
    lease = take(impatient, heartbeat_sec=0.05)
    with locked(run_root):
        time.sleep(1)
    first = impatient.one("SELECT heartbeat_at FROM leases")
    until = time.monotonic() + 60

    while impatient.one("SELECT heartbeat_at FROM leases") == first and time.monotonic() < until:
        time.sleep(0.02)

    assert impatient.one("SELECT heartbeat_at FROM leases") != first
    lease.release()
    impatient.close()
