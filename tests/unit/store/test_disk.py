"""A disk that refuses is told of at once, nothing is acknowledged that is not written, and freed space is used."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.store.database import Database, open_database, reading
from orchestrator.store.events import chain_fault
from orchestrator.store.queries import read_inputs
from orchestrator.store.runs import put_inputs
from tests.unit.machine import can_trace, failing, file_size_limit, mounted

WRITER = """
import sys
from pathlib import Path
from orchestrator.store.database import open_database
from orchestrator.store.runs import put_inputs

database = open_database(Path(sys.argv[1]))
with database.transaction():
    put_inputs(database, {"name": 1})
print("written")
"""


def write(database: Database, name: str) -> None:
    """Write a hundred kilobytes under a name."""
    with database.transaction():
        put_inputs(database, {name: "x" * 100_000})


def test_a_write_that_does_not_fit_is_an_error(database: Database) -> None:
    """The message names the file; what was there before is there still."""
    write(database, "first")

    with (
        file_size_limit(150_000),
        pytest.raises(InfrastructureError, match=r"the state file .* cannot be used: ") as caught,
    ):
        write(database, "second")

    assert caught.value.hint == "check space and permissions, then run again"
    assert list(read_inputs(database)) == ["first"]
    assert chain_fault(database) == ""


def test_after_space_was_freed_writing_goes_on(database: Database) -> None:
    """In the same process, and nothing is missing when the file is opened again."""
    with file_size_limit(50_000), pytest.raises(InfrastructureError):
        write(database, "first")
    write(database, "second")
    database.close()

    database = open_database(database.path)

    assert list(read_inputs(database)) == ["second"]
    database.close()


@pytest.mark.skipif(not can_trace(), reason="strace is not installed or not allowed")
def test_a_disk_that_fails_to_sync_is_not_believed(database: Database, tmp_path: Path) -> None:
    """The writer ends with an error instead of an acknowledgement, and the file holds together."""
    database.close()
    answer = failing("fsync,fdatasync", tmp_path / "trace", WRITER, [str(database.path)])

    assert "cannot be used: disk I/O error" in answer.stderr
    assert answer.stdout == ""
    database = open_database(database.path)
    assert chain_fault(database) == ""
    database.close()


def test_F48_a_state_file_on_a_disk_that_cannot_be_written_is_read(database: Database, tmp_path: Path) -> None:  # noqa: N802  row of the fault matrix
    """A copy, or a backup, holds no more than the file: the log beside it is gone when the last reader closed it."""
    write(database, "first")
    database.close()
    with mounted(tmp_path / "fixed", "size=2m") as folder:
        shutil.copy(database.path, folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        with reading(folder) as fixed:
            assert list(read_inputs(fixed)) == ["first"]
