"""Look at a site's queue for all runners of this machine: one of them asks, and the others take its answer."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.files import note_in_lock, open_lock, own_directory, refused
from orchestrator.secrecy import runtime_folder

_MOST_BYTES = 64 * 1024 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody saw of a queue, and the second since the machine was started at which they asked for it."""

    at_sec: float
    text: str


def uptime() -> float:
    """Give the seconds since the machine was started, asleep or awake: the same for all of its processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def look_at_queue(site: str, ask: Callable[[], str], *, not_before: float) -> Look:
    """Give the last look at the queue of a site, or a new one by ``ask`` where that is older than ``not_before``.

    ``site`` is a text that is the same for all runners of this user. While one asks, others wait for its answer. What
    ``ask`` raises is passed on and kept from nobody else. Raises `InfrastructureError` where this machine refuses a
    file for it.
    """
    folder = runtime_folder()
    try:
        own_directory(folder)
    except OSError as error:
        raise refused(error, f"make the directory {folder}") from error
    name = hashlib.sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    descriptor = open_lock(folder / f"queue-{name}")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        last = _read(descriptor)
        if last is not None and not_before <= last.at_sec <= uptime():
            return last
        at = uptime()
        look = Look(at_sec=at, text=ask())
        _write(descriptor, look)
        return look
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Look | None:
    """Give what the last one saw; None where nobody looked since the machine was started, or could leave it whole."""
    try:
        told = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return Look(at_sec=told["at_sec"], text=told["text"]) if told["boot_id"] == _boot_id() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(descriptor: int, look: Look) -> None:
    """Leave it for the others; where the disk refuses, they ask for themselves."""
    note_in_lock(descriptor, json.dumps({"boot_id": _boot_id(), "at_sec": look.at_sec, "text": look.text}))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
