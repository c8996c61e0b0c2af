"""Everything below a process is found and ended, wherever it moved."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from orchestrator.workers.tree import children_of, descendants_of, end_descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

# A shell that waits for a shell that waits for a program in a session of its own.
NESTED = "sh -c 'setsid sleep 60 & echo $!; wait' & wait"


@pytest.fixture(name="nested")
def _nested() -> Iterator[tuple[int, int]]:
    """Start three processes below one another; give the first and the last."""
    with subprocess.Popen(["sh", "-c", NESTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        end_descendants(process.pid)
        process.kill()


def test_children_are_found(nested: tuple[int, int]) -> None:
    """The first has one of its own, and this process has the first."""
    assert len(children_of(nested[0])) == 1
    assert nested[0] in children_of(os.getpid())


def test_descendants_are_found(nested: tuple[int, int]) -> None:
    """Also those in another session."""
    assert nested[1] in descendants_of(nested[0])
    assert nested[0] not in descendants_of(nested[0])


def test_descendants_are_ended(nested: tuple[int, int], ends: Callable[[int], bool]) -> None:
    """The process itself is left alone."""
    end_descendants(nested[0])

    assert ends(nested[1])


def test_a_process_that_is_gone_has_no_descendants() -> None:
    """Asking too late is no error."""
    process = subprocess.Popen(["true"])
    process.wait()

    assert descendants_of(process.pid) == set()
    end_descendants(process.pid)
