"""See and end the processes below a process, whatever group or session they moved to.

Linux tells; on other systems nothing is found here, and the process group is all that can be ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_ROUNDS = 100


def children_of(pid: int) -> set[int]:
    """Give the processes that a process started or adopted, those that ended and were not waited for among them."""
    found: set[int] = set()
    with contextlib.suppress(OSError):  # it is gone, or the system does not tell
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found.update(int(child) for child in _words(thread / "children"))
    return found


def descendants_of(pid: int) -> set[int]:
    """Give the children of a process, their children, and so on."""
    found: set[int] = set()
    unseen = [pid]
    while unseen:
        fresh = children_of(unseen.pop()) - found
        found |= fresh
        unseen.extend(fresh)
    return found


def end_descendants(pid: int) -> None:
    """Kill everything below a process, also what is started meanwhile."""
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = descendants_of(pid) - ended
        if not fresh:
            return
        for descendant in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(descendant, signal.SIGKILL)
        ended |= fresh


def _words(path: Path) -> list[str]:
    with contextlib.suppress(OSError):  # that thread has ended
        return path.read_text(encoding="ascii").split()
    return []
