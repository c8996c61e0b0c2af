"""One runner drives a run: others are told who does, and one that was overtaken cannot write."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.clock import utc_after
from orchestrator.errors import FencedError, InfrastructureError, RunLockedError
from orchestrator.store.database import Database, open_database
from orchestrator.store.leases import LOCK_NAME, is_driven, is_let_go, take
from orchestrator.store.queries import read_inputs
from orchestrator.store.runs import put_inputs

ROOT = Path(__file__).resolve().parents[3]
HOLDER = (
    "import sys; from pathlib import Path\n"
    "from orchestrator.store.database import open_database; from orchestrator.store.leases import take\n"
    "lease = take(open_database(Path(sys.argv[1]))); print('taken', flush=True); sys.stdin.read()\n"
)


@pytest.fixture(name="stopped_clock")
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass, so that how long ago something was is known to the second."""
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time", lambda: now_ns / 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)


@contextmanager
def another_runner(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lease."""
    command = [sys.executable, "-c", HOLDER, str(database.path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def lease_of_another_host(database: Database, age_sec: float | None) -> None:
    """Record a lease as a runner on another machine would, whose heartbeat is so many seconds old."""
    beat = "" if age_sec is None else utc_after(-age_sec)
    with database.transaction():
        database.write(
            "INSERT INTO leases (name, fence, host, pid, heartbeat_at) VALUES ('runner', 7, 'node042', 4711, ?)",
            (beat,),
        )


def test_a_run_is_driven_while_its_lease_is_held(database: Database, run_root: Path) -> None:
    """Before and after, it is not."""
    assert not is_driven(run_root)
    lease = take(database)
    assert is_driven(run_root)
    lease.release()
    assert not is_driven(run_root)


def test_a_second_process_is_told_who_drives(database: Database, run_root: Path) -> None:
    """The error names the process and the host."""
    with another_runner(database) as runner:
        assert is_driven(run_root)
        with pytest.raises(RunLockedError, match=rf"process {runner.pid} on \S+ runs") as caught:
            take(database)

    assert caught.value.code == "MS503"
    assert caught.value.hint == "wait for it to end"


def test_the_lock_of_a_killed_runner_is_free(database: Database) -> None:
    """Nobody has to remove anything, and the fence has grown."""
    with another_runner(database) as runner:
        runner.kill()
        runner.wait()
        lease = take(database)

    assert database.fence == 2
    lease.release()


def test_an_overtaken_runner_cannot_write(database: Database, run_root: Path) -> None:
    """Where the lock means nothing, as between two hosts, the fence holds."""
    slept = take(database)
    (run_root / LOCK_NAME).unlink()
    other = open_database(database.path)
    woke = take(other)

    with pytest.raises(FencedError, match="another runner took over"), database.transaction():
        put_inputs(database, {"late": 1})

    assert read_inputs(other) == {}
    woke.release()
    slept.release()
    other.close()


def test_the_one_that_took_over_can_write(database: Database, run_root: Path) -> None:
    """Its fence is the latest, also after the other let go."""
    slept = take(database)
    (run_root / LOCK_NAME).unlink()
    other = open_database(database.path)
    woke = take(other)
    slept.release()

    with other.transaction():
        put_inputs(other, {"on": 1})

    assert read_inputs(other) == {"on": 1}
    woke.release()
    other.close()


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("takeover", [False, True])
def test_a_runner_on_another_host_is_respected_while_it_beats(database: Database, takeover: bool) -> None:
    """Its lock cannot be seen, but its heartbeat can, and nobody may overrule it."""
    lease_of_another_host(database, age_sec=5)

    with pytest.raises(RunLockedError, match="process 4711 on node042 was alive 5 seconds ago") as caught:
        take(database, takeover=takeover)

    assert caught.value.hint == "wait for it to end"


@pytest.mark.usefixtures("stopped_clock")
def test_a_runner_on_another_host_that_fell_silent_is_not_replaced_unasked(database: Database) -> None:
    """It may sleep, or its clock or its network may be at fault."""
    lease_of_another_host(database, age_sec=60)

    with pytest.raises(RunLockedError, match="process 4711 on node042 was last heard of 60 seconds ago") as caught:
        take(database)

    assert caught.value.hint == "wait for it to end; when it is dead, add --takeover"


@pytest.mark.parametrize(("age_sec", "takeover"), [(31, True), (None, False)])
def test_a_lease_of_another_host_is_taken(database: Database, age_sec: float | None, takeover: bool) -> None:
    """A person says that the machine is dead, or its runner let go."""
    lease_of_another_host(database, age_sec)

    lease = take(database, takeover=takeover)

    assert database.fence == 8
    lease.release()


def test_a_refused_lease_leaves_no_lock(database: Database, run_root: Path) -> None:
    """The next may try at once."""
    lease_of_another_host(database, age_sec=0)

    with pytest.raises(RunLockedError):
        take(database)

    assert not is_driven(run_root)


def test_the_heartbeat_goes_on_while_the_runner_is_busy(database: Database) -> None:
    """A thread writes it, so that a long step of the runner's own process does not look like death."""
    lease = take(database, heartbeat_sec=0.001)
    first = database.one("SELECT heartbeat_at FROM leases")
    until = time.monotonic() + 60

    while database.one("SELECT heartbeat_at FROM leases") == first and time.monotonic() < until:
        pass

    assert database.one("SELECT heartbeat_at FROM leases") != first
    lease.release()


def test_only_a_runner_that_came_to_its_end_lets_go(database: Database) -> None:
    """One that was killed leaves its heartbeat behind."""
    assert is_let_go(database)
    with another_runner(database) as runner:
        runner.kill()
        runner.wait()
        assert not is_let_go(database)
    take(database).release()
    assert is_let_go(database)


def test_the_lease_names_its_process(database: Database) -> None:
    """Who looks into the file sees who drives the run."""
    lease = take(database)

    assert database.one("SELECT pid FROM leases WHERE name = 'runner'") == (os.getpid(),)
    lease.release()


def test_a_link_in_the_place_of_the_lock_is_refused(database: Database, run_root: Path) -> None:
    """Nothing is locked or created elsewhere."""
    (run_root / LOCK_NAME).symlink_to(run_root / "elsewhere")

    assert not is_driven(run_root)
    with pytest.raises(InfrastructureError, match="cannot open the lock file"):
        take(database)
    assert not (run_root / "elsewhere").exists()
