"""A damaged state file is refused untouched, or what it holds is provably all there."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.context import Change
from orchestrator.errors import StoreError
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.contexts import read_context, read_history
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import chain_fault, iterate_events
from orchestrator.store.queries import read_attempts, read_inputs, read_run, read_tasks
from orchestrator.store.runs import put_inputs

PAGE = 4096
SEEDS = 200
SUFFIXES = ("", "-wal", "-journal")


def attempt_all(database: Database, *, width: int) -> None:
    """Run every task once, each writing a value of ``width`` characters."""
    for task in read_tasks(database):
        with database.transaction():
            attempt_id, _ = open_attempt(database, task.task_id, {"n": 1}, "local.default")
        result = AttemptResult(
            status=AttemptState.COMPLETED,
            task_status=TaskState.COMPLETED,
            stderr="log " * width,
            changes=(Change(f"{task.task_id}.value_v1", f'"{"v" * width}"', task.task_id),),
        )
        with database.transaction():
            close_attempt(database, task.task_id, attempt_id, result)


def everything_in(database: Database) -> list[object]:
    """Read every row that the program ever reads."""
    tasks = read_tasks(database)
    attempts = [read_attempts(database, task.task_id) for task in tasks]
    rows = [read_run(database), tasks, attempts, read_inputs(database), read_context(database), read_history(database)]
    return [*rows, list(iterate_events(database))]


@dataclass(frozen=True)
class Patient:
    """A closed state file: where it lies, its bytes, and all that can be read from it."""

    path: Path
    content: bytes
    rows: list[object]

    def survives(self, content: bytes) -> bool:
        """Open the file with other bytes; tell whether it is taken, and then make sure that nothing is missing."""
        for suffix in SUFFIXES:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.path.write_bytes(content)
        try:
            database = open_database(self.path)
        except StoreError:
            assert self.path.read_bytes() == content
            return False
        assert chain_fault(database) == ""
        assert everything_in(database) == self.rows
        database.close()
        return True

    def survivors(self, harm: Callable[[random.Random, bytearray], None]) -> int:
        """Harm the file in many ways; count those after which it is still taken."""
        taken = 0
        for seed in range(SEEDS):
            content = bytearray(self.content)
            harm(random.Random(seed), content)  # noqa: S311  the same harm every time
            taken += self.survives(bytes(content))
        return taken


@pytest.fixture(name="patient")
def _patient(database: Database) -> Patient:
    attempt_all(database, width=5000)
    rows = everything_in(database)
    database.close()
    return Patient(database.path, database.path.read_bytes(), rows)


def copy_of(database: Database, folder: Path, *suffixes: str) -> Path:
    """Copy the files of an open database as a backup program would, at this moment."""
    folder.mkdir()
    for suffix in suffixes:
        shutil.copy(f"{database.path}{suffix}", folder / f"state.sqlite{suffix}")
    return folder / "state.sqlite"


def test_an_unharmed_file_is_taken(patient: Patient) -> None:
    """The check does not refuse what is well."""
    assert patient.survives(patient.content)


def test_a_page_of_random_bytes_is_noticed(patient: Patient) -> None:
    """Whichever page it hits."""

    def harm(dice: random.Random, content: bytearray) -> None:
        start = dice.randrange(len(content) // PAGE) * PAGE
        content[start : start + PAGE] = dice.randbytes(PAGE)

    assert patient.survivors(harm) == 0


def test_a_header_of_random_bytes_is_noticed(patient: Patient) -> None:
    """The first hundred bytes say what the rest is."""

    def harm(dice: random.Random, content: bytearray) -> None:
        content[:100] = dice.randbytes(100)

    assert patient.survivors(harm) == 0


def test_a_changed_bit_in_the_header_is_noticed_or_harmless(patient: Patient) -> None:
    """Some bits of the header are only hints to SQLite."""

    def harm(dice: random.Random, content: bytearray) -> None:
        content[dice.randrange(100)] ^= 1 << dice.randrange(8)

    assert patient.survivors(harm) < SEEDS


def test_a_missing_end_is_noticed(patient: Patient) -> None:
    """However little is missing."""

    def harm(dice: random.Random, content: bytearray) -> None:
        del content[dice.randrange(len(content)) :]

    assert patient.survivors(harm) == 0
    assert not patient.survives(patient.content[:-1])


def test_text_that_is_no_text_is_noticed_when_it_is_read(patient: Patient) -> None:
    """What a check of the structure cannot see is refused at the latest by the reader."""
    content = patient.content.replace(b"log log", b"log \xff\xff\xff")
    patient.path.write_bytes(content)
    database = open_database(patient.path)

    with pytest.raises(StoreError, match="the state file is damaged"):
        everything_in(database)

    database.close()


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_copy_taken_within_a_transaction_is_rolled_back(database: Database, tmp_path: Path, mode: str) -> None:
    """The half that was written is undone when the copy is opened."""
    suffixes = {"WAL": ("", "-wal"), "DELETE": ("", "-journal")}
    database.all(f"PRAGMA journal_mode = {mode}")
    database.all("PRAGMA cache_size = 2")
    before = everything_in(database)
    with database.transaction():
        put_inputs(database, {f"name{number}": "x" * PAGE for number in range(50)})
        copy = open_database(copy_of(database, tmp_path / "copy", *suffixes[mode]))

    assert everything_in(copy) == before
    assert chain_fault(copy) == ""
    copy.close()


def test_a_copy_with_its_log_has_all_that_was_committed(database: Database, tmp_path: Path) -> None:
    """The log is part of the file."""
    attempt_all(database, width=10)

    copy = open_database(copy_of(database, tmp_path / "copy", "", "-wal"))

    assert everything_in(copy) == everything_in(database)
    copy.close()


def test_a_file_whose_log_was_removed_is_a_former_state(patient: Patient, tmp_path: Path) -> None:
    """What the log alone held is lost; the rest is consistent, and goes on."""
    database = open_database(patient.path)
    with database.transaction():
        put_inputs(database, {"late": 1})

    copy = open_database(copy_of(database, tmp_path / "copy", ""))

    assert everything_in(copy) == patient.rows
    assert chain_fault(copy) == ""
    copy.close()
    database.close()


def test_a_file_whose_log_was_removed_too_early_is_refused(database: Database, tmp_path: Path) -> None:
    """While the log is merged, the file alone is neither the former state nor the new one."""
    copy = copy_of(database, tmp_path / "copy", "")
    attempt_all(database, width=5000)
    database.close()
    with copy.open("r+b") as file:
        file.write(database.path.read_bytes()[:PAGE])

    with pytest.raises(StoreError, match="the state file is damaged"):
        open_database(copy)


def test_a_log_that_is_none_is_not_merged(patient: Patient) -> None:
    """Bytes beside the file that make no sense change nothing."""
    Path(f"{patient.path}-wal").write_bytes(b"garbage" * 1000)

    database = open_database(patient.path)

    assert everything_in(database) == patient.rows
    database.close()
