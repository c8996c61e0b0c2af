"""Let one runner drive a run: a lock the kernel releases on death, and a fence against one that wakes up late."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.clock import seconds_between, utc_now
from orchestrator.errors import InfrastructureError, RunLockedError, StoreBusyError
from orchestrator.files import note_in_lock, open_lock

if TYPE_CHECKING:  # which imports this module
    from orchestrator.store.database import Database

LOCK_NAME = "run.lock"
HEARTBEAT_SEC = 10.0
STALE_SEC = 3 * HEARTBEAT_SEC

_LOOKS = 10
_LOOK_SEC = 0.02


class Lease:
    """The right to drive one run, held from `take` to `release`.

    The lock file keeps other processes of this host out and is free as soon as this one dies. The fence, a number
    that only grows, is compared in every write transaction, so that a runner that slept through a take-over cannot
    write. The heartbeat, written by a thread of its own, tells other hosts, for which the lock means nothing, that the
    runner lives; a lease that was let go has none.
    """

    def __init__(self, database: Database, descriptor: int, heartbeat_sec: float) -> None:
        self._database = database
        self._descriptor = descriptor
        self._heartbeat_sec = heartbeat_sec
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise InfrastructureError(
                "cannot start a thread for the heartbeat", hint="check 'ulimit -u' and memory, then run again"
            ) from error

    def _beat(self) -> None:
        # A disk that refuses, or a later fence, stops the runner itself at its next write.
        with contextlib.suppress(InfrastructureError):
            while not self._ended.wait(self._heartbeat_sec):
                # A file that is locked is written at the next beat, since the runner may not have to write meanwhile.
                with contextlib.suppress(StoreBusyError), self._database.transaction():
                    self._database.write("UPDATE leases SET heartbeat_at = ? WHERE name = 'runner'", (utc_now(),))

    def release(self) -> None:
        """Give the run free for other runners, here and on other hosts."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(InfrastructureError), self._database.transaction():
            self._database.write("UPDATE leases SET heartbeat_at = '' WHERE name = 'runner'")
        self._database.fence = None
        note_in_lock(self._descriptor, "")
        os.close(self._descriptor)


def take(database: Database, *, takeover: bool = False, heartbeat_sec: float = HEARTBEAT_SEC) -> Lease:
    """Take the lease of a run, or raise `RunLockedError` that says who has it.

    A lease of another host that was not let go is taken only with ``takeover``, and only when its last heartbeat is
    older than thirty seconds.
    """
    descriptor = open_lock(database.run_root / LOCK_NAME)
    try:
        _lock(descriptor)
        with database.transaction():
            database.fence = _next_fence(database, takeover=takeover)
        note_in_lock(descriptor, f"{os.getpid()}\n")
        return Lease(database, descriptor, heartbeat_sec)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _locked(database, "runs") from error
    except BaseException:
        os.close(descriptor)
        raise


def refuse_if_driven(database: Database) -> None:
    """Raise `RunLockedError` where a runner drives the run and it is not this process, which would hold its fence."""
    if database.fence is None and is_driven(database.run_root):
        raise _locked(database, "runs")


def is_let_go(database: Database) -> bool:
    """Tell whether the last runner came to its own end; one that was killed leaves its heartbeat behind."""
    row = database.one("SELECT heartbeat_at FROM leases WHERE name = 'runner'")
    return row is None or not row[0]


def lost_log(database: Database) -> bool:
    """Tell whether the log is gone that a runner which died must have left; ask before anything is written.

    What the log held is gone too, so the note in the lock file tells that a runner was there.
    """
    lock, log = (database.run_root / name for name in (LOCK_NAME, f"{database.path.name}-wal"))
    was_driven, has_log = (path.exists() and path.stat().st_size > 0 for path in (lock, log))
    return was_driven and not has_log and database.one("PRAGMA journal_mode") == ("wal",)


def is_driven(run_root: Path) -> bool:
    """Tell whether a process of this host drives the run right now."""
    try:
        descriptor = os.open(run_root / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def undriven(run_root: Path) -> Iterator[None]:
    """Keep runners of this host, also those of MatterStack 0.2.x, away from a run while the block lasts.

    Raises `RunLockedError` where one drives it.
    """
    descriptor = open_lock(run_root / LOCK_NAME)
    try:
        _lock_or_refuse(descriptor, run_root)
        yield
    finally:
        os.close(descriptor)


def _lock_or_refuse(descriptor: int, run_root: Path) -> None:
    try:
        _lock(descriptor)
    except BlockingIOError as error:
        raise RunLockedError(f"run {run_root.name} is driven by another runner", hint="wait for it to end") from error


def _lock(descriptor: int) -> None:
    """Lock at once or within the moment that a mere look (`is_driven`) holds the file."""
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOOK_SEC)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _next_fence(database: Database, *, takeover: bool) -> int:
    row = database.one("SELECT fence, host, heartbeat_at FROM leases WHERE name = 'runner'")
    host = os.uname().nodename
    if row and row[1] != host and row[2]:
        _refuse_living(database, _age_sec(row[2]), takeover=takeover)
    fence = (row[0] if row else 0) + 1
    database.write(
        "REPLACE INTO leases (name, fence, host, pid, heartbeat_at) VALUES ('runner', ?, ?, ?, ?)",
        (fence, host, os.getpid(), utc_now()),
    )
    return fence


def _refuse_living(database: Database, age_sec: float, *, takeover: bool) -> None:
    if age_sec < STALE_SEC:
        raise _locked(database, f"was alive {age_sec:.0f} seconds ago")
    if not takeover:
        raise _locked(database, f"was last heard of {age_sec:.0f} seconds ago", "; when it is dead, add --takeover")


def _locked(database: Database, state: str, way_out: str = "") -> RunLockedError:
    row = database.one("SELECT host, pid FROM leases WHERE name = 'runner'") or ("this host", 0)
    return RunLockedError(
        f"run {database.run_root.name} is driven by another runner: process {row[1]} on {row[0]} {state}",
        hint=f"wait for it to end{way_out}",
    )


def _age_sec(heartbeat_at: str) -> float:
    return abs(seconds_between(heartbeat_at, utc_now()))
