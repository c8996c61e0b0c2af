"""The runs of a host take turns at an instrument, and one that dies gives its turn back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.operators.instruments.turns import BusyError, Turn, take_turn

HOLDER = """
import sys, time
from orchestrator.operators.instruments.turns import take_turn
turn = take_turn("furnace", 1, "another process measures")
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _host_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test hold an instrument."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@contextmanager
def another_process() -> Iterator[subprocess.Popen[str]]:
    """Let another process have the furnace until it is killed."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def take(identity: str = "furnace", at_once: int = 1, note: str = "this test") -> Turn:
    """Take a turn."""
    return take_turn(identity, at_once, note)


def test_who_has_it_is_told() -> None:
    """The note is that of the process that has it."""
    with another_process(), pytest.raises(BusyError, match="another process measures"):
        take()


def test_a_process_that_is_killed_gives_it_back() -> None:
    """The system does it."""
    with another_process() as process:
        process.kill()
        process.wait()

        take().let_go()


def test_one_process_has_it_once_too() -> None:
    """Two operators may mean one instrument."""
    turn = take(note="the first")

    with pytest.raises(BusyError, match="the first"):
        take()
    turn.let_go()
    turn.let_go()
    take().let_go()


def test_a_turn_that_nobody_knows_of_is_over() -> None:
    """Nothing of this process can use it any more."""
    take()

    take().let_go()


def test_there_may_be_several_places() -> None:
    """Whoever comes then is told who has them."""
    turns = [take(at_once=2, note=note) for note in ("one", "two")]

    with pytest.raises(BusyError, match="one; two"):
        take(at_once=2)
    assert len(turns) == 2


def test_other_instruments_are_free() -> None:
    """Each goes by its own name."""
    turns = [take("furnace"), take("oven")]

    assert len(turns) == 2


@pytest.mark.parametrize("make", ["open", "link"])
def test_G5_a_folder_of_somebody_else_is_refused(tmp_path: Path, make: str) -> None:  # noqa: N802  row of the fault matrix
    """Whoever may write there could lend the instrument."""
    take().let_go()
    (folder,) = tmp_path.glob("matterstack-*")
    if make == "open":
        folder.chmod(0o777)
    else:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InfrastructureError, match="not a directory of this user alone"):
        take()


def test_a_lock_behind_a_link_is_refused(tmp_path: Path) -> None:
    """What it leads to stays as it was."""
    take().let_go()
    (lock,) = tmp_path.glob("matterstack-*/instrument-*.lock")
    lock.unlink()
    (tmp_path / "canary").write_text("")
    lock.symlink_to(tmp_path / "canary")

    with pytest.raises(InfrastructureError, match="open the lock file"):
        take()
