"""Every operator begins what is handed over together, each attempt once and for itself, and tells what changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.clock import utc_now
from orchestrator.operators.assignments import Assignment, Operator, Sighting
from orchestrator.operators.instruments.registry import instrument_for
from orchestrator.operators.laboratory import Laboratory
from orchestrator.operators.local import LocalOperator
from orchestrator.operators.people import People
from orchestrator.operators.rehearsal import Rehearsal
from orchestrator.operators.staging import CLAIM
from orchestrator.states import AttemptState
from orchestrator.wiring.model import FilesBackend

KINDS: dict[str, Callable[[], Operator]] = {
    "local": lambda: LocalOperator(os.environ),
    "human": People,
    "experiment": lambda: Laboratory(instrument_for("experiment.x", FilesBackend(type="files"), at_once=None)),
}
REHEARSED = {**KINDS, "rehearsed": Rehearsal}
OWN_FILES, PIDFD = Path("/proc/self/fd"), Path("anon_inode:[pidfd]")
BUSY = ["sh", "-c", "echo begun >> ../begun.txt; exec sleep 60"]


class Site:
    """An operator of one kind, and attempts for it that do not end by themselves."""

    def __init__(self, make: Callable[[], Operator], kind: str, root: Path) -> None:
        self.make = make
        self.root = root
        self.operator = make()
        self._key = f"{kind}.default"

    def assignment(self, attempt_id: str, **work: object) -> Assignment:
        """Give an attempt, with what a step of any kind says."""
        asked = {"step": "s", "needs": {}, "argv": BUSY, "timeout_sec": None, **work}
        return Assignment(
            run_root=self.root,
            task_id=f"t_{attempt_id}",
            attempt_id=attempt_id,
            attempt_index=1,
            operator_key=self._key,
            relative_path=attempt_id,
            params={"instructions": "so?"},
            work=asked,
            asked_at=utc_now(),
        )

    def ended(self) -> list[Sighting]:
        """Look until an attempt has ended."""
        for _ in range(3000):
            if found := [one for one in self.operator.look() if one.done is not None]:
                return found
            time.sleep(0.02)
        raise AssertionError


@pytest.fixture(name="site", params=KINDS)
def _site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    yield from _opened(request.param, tmp_path)


@pytest.fixture(name="any_site", params=REHEARSED)
def _any_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    yield from _opened(request.param, tmp_path)


@pytest.fixture(name="asking", params=["human", "experiment"])
def _asking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Give an operator that tells others by files what to do."""
    yield from _opened(request.param, tmp_path)


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Iterator[Site]:
    """Give an operator whose attempts are processes of this machine."""
    yield from _opened("local", tmp_path)


def _opened(kind: str, root: Path) -> Iterator[Site]:
    site = Site(REHEARSED[kind], kind, root)
    yield site
    site.operator.close()
    for claim in root.glob(f"*/{CLAIM}"):
        until(claim.read_text)
        subprocess.run(["kill", "-9", "--", f"-{claim.read_text().split()[0]}"], check=False, capture_output=True)


def test_a_batch_is_begun_and_what_cannot_be_begun_fails_alone(any_site: Site) -> None:
    """A file of one of them is another one than when its attempt was opened, and one of another is gone."""
    (any_site.root / "x.txt").write_text("new")
    source = {"sha256": "0" * 64}
    changed, gone = {"x.txt": {"source": "x.txt", **source}}, {"y.txt": {"source": "y.txt", **source}}
    batch = [any_site.assignment(f"a{number}", files=one) for number, one in enumerate([{}, changed, gone, {}])]

    told = {one.attempt_id: one for one in any_site.operator.submit(batch)}

    assert [one for one in told if told[one].state is AttemptState.FAILED_INIT] == ["a1", "a2"]
    assert "x.txt changed while the attempt was begun" in told["a1"].note
    assert "y.txt cannot be read any more: no such file or directory" in told["a2"].note
    assert set(told) == {"a0", "a1", "a2", "a3"}


def test_what_goes_on_is_not_told_of_again(site: Site) -> None:
    """A look costs nobody anything where nothing happened."""
    list(site.operator.submit([site.assignment("a1"), site.assignment("a2")]))
    list(site.operator.look())

    assert list(site.operator.look()) == []


def test_what_was_begun_is_not_begun_again(here: Site) -> None:
    """The next runner may be handed the same attempt, since the first died before it was recorded."""
    list(here.operator.submit([here.assignment("a1")]))
    until((here.root / "begun.txt").exists)
    here.operator.close()

    here.operator = here.make()
    (told,) = here.operator.submit([here.assignment("a1")])

    assert told.state is AttemptState.RUNNING
    assert list(here.operator.look()) == []
    assert (here.root / "begun.txt").read_text() == "begun\n"


def test_taking_over_begins_nothing(site: Site) -> None:
    """Also where there is no trace of the attempt."""
    list(site.operator.adopt([site.assignment("a1")]))
    list(site.operator.look())

    assert list(site.root.iterdir()) == []


def test_what_is_taken_over_can_be_ended(site: Site) -> None:
    """And it alone."""
    batch = [site.assignment("a1"), site.assignment("a2")]
    list(site.operator.submit(batch))
    site.operator.close()
    site.operator = site.make()
    list(site.operator.adopt(batch))

    site.operator.cancel(["a2"])

    assert [one.attempt_id for one in site.ended()] == ["a2"]


def test_a_directory_that_was_removed_is_made_again(asking: Site) -> None:
    """People and instruments find what they were told, and the attempt goes on."""
    list(asking.operator.submit([asking.assignment("a1", files={"x.txt": {"text": "x"}})]))
    list(asking.operator.look())
    before = sorted(path.name for path in (asking.root / "a1").iterdir())
    shutil.rmtree(asking.root / "a1")

    told = list(asking.operator.look())

    assert [one.done for one in told if one.done] == []
    assert sorted(path.name for path in (asking.root / "a1").iterdir()) == before


def test_a_directory_that_cannot_be_made_as_it_was_ends_its_attempt_alone(asking: Site) -> None:
    """A file that belongs into it is another one by now."""
    (asking.root / "x.txt").write_text("old")
    files = {"x.txt": {"source": "x.txt", "sha256": hashlib.sha256(b"old").hexdigest()}}
    list(asking.operator.submit([asking.assignment("a1", files=files), asking.assignment("a2")]))
    list(asking.operator.look())
    (asking.root / "x.txt").write_text("new")
    shutil.rmtree(asking.root / "a1")

    (told,) = asking.operator.look()

    assert told.done is not None
    assert "its directory was removed and cannot be made again: x.txt changed" in told.done.stdout
    assert list(asking.operator.look()) == []


def test_a_process_of_another_program_is_not_watched(here: Site) -> None:
    """Its number was that of an attempt before the machine was started anew."""
    (here.root / "a1" / ".ms").mkdir(parents=True)
    (here.root / "a1" / CLAIM).write_text(f"{os.getpid()} {os.uname().nodename}\n")

    list(here.operator.adopt([here.assignment("a1")]))

    (told,) = here.operator.look()
    assert told.done is not None
    assert told.done.fault == "lost: its process is gone and left no exit code"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system does not tell of the end of a process")
def test_an_end_is_told_once_also_while_others_have_its_descriptor(here: Site) -> None:
    """A process that is just being started has those of the one that starts it, for a moment."""
    list(here.operator.submit([here.assignment("a1", argv=["true"])]))
    copies = [os.dup(int(path.name)) for path in OWN_FILES.iterdir() if path.is_symlink() and path.readlink() == PIDFD]

    ended = here.ended()

    assert [one.attempt_id for one in ended] == ["a1"]
    assert list(here.operator.look()) == []
    for copy in copies:
        os.close(copy)


def until(condition: Callable[[], object]) -> None:
    """Wait for what happens elsewhere."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError
