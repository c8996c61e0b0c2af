"""Look at a site's queue for all runners of this machine: one of them asks, and the others take its answer."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.clock import monotonic, start_of_machine, up_sec
from orchestrator.files import note_in_lock, open_lock
from orchestrator.secrecy import own_runtime_folder

_MOST_BYTES = 64 * 1024 * 1024
# One that asks has its answer by then, unless somebody has stopped it, as Ctrl-Z does.
_PATIENCE_SEC = 90.0
_TRY_SEC = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody saw of a queue, and the second since the machine was started at which they asked for it.

    The ``text`` is None where whoever asked was ended before the answer came.
    """

    at_sec: float
    text: str | None


def look_at_queue(site: str, ask: Callable[[], str], *, not_before: float, patience_sec: float = _PATIENCE_SEC) -> Look:
    """Give the last look at the queue of a site, or a new one by ``ask`` where that is older than ``not_before``.

    ``site`` is a text that is the same for all runners of this user. While one asks, others wait for its answer, for
    ``patience_sec``, and then ask for themselves. A question of one that was killed counts as a look, as the site was
    asked. What ``ask`` raises is passed on and kept from nobody else. Raises `InfrastructureError` where this machine
    refuses a file for it.
    """
    folder = own_runtime_folder()
    name = hashlib.sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    descriptor = open_lock(folder / f"queue-{name}")
    try:
        if not _has_turn(descriptor, patience_sec):
            return Look(at_sec=up_sec(), text=ask())
        last = _read(descriptor)
        if last is not None and not_before <= last.at_sec <= up_sec():
            return last
        at = up_sec()
        _write(descriptor, Look(at_sec=at, text=None))
        try:
            look = Look(at_sec=at, text=ask())
        except BaseException:
            os.ftruncate(descriptor, 0)
            raise
        _write(descriptor, look)
        return look
    finally:
        os.close(descriptor)


def _has_turn(descriptor: int, patience_sec: float) -> bool:
    """Wait until nobody else asks; tell whether that came in time."""
    deadline = monotonic() + patience_sec
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if monotonic() > deadline:
            return False
        time.sleep(_TRY_SEC)


def _read(descriptor: int) -> Look | None:
    """Give what the last one saw; None where nobody looked since the machine was started, or could leave it whole."""
    try:
        told = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return Look(at_sec=told["at_sec"], text=told["text"]) if told["boot_id"] == start_of_machine() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(descriptor: int, look: Look) -> None:
    """Leave it for the others; where the disk refuses, they ask for themselves."""
    note_in_lock(descriptor, json.dumps({"boot_id": start_of_machine(), "at_sec": look.at_sec, "text": look.text}))
