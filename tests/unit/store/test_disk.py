"""A disk that refuses is told of at once, nothing is acknowledged that is not written, and freed space is used."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import chain_fault
from orchestrator.store.queries import read_inputs
from orchestrator.store.runs import put_inputs

ROOT = Path(__file__).resolve().parents[3]
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


def can_trace() -> bool:
    """Tell whether strace is there and allowed to look into processes."""
    return shutil.which("strace") is not None and not subprocess.call(["strace", "-o", "/dev/null", "true"])


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes, as a full disk would not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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
    inject = ["strace", "-f", "-o", str(tmp_path / "trace"), "-e", "inject=fsync,fdatasync:error=EIO"]

    answer = subprocess.run(
        [*inject, sys.executable, "-c", WRITER, str(database.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "cannot be used: disk I/O error" in answer.stderr
    assert answer.stdout == ""
    database = open_database(database.path)
    assert chain_fault(database) == ""
    database.close()
