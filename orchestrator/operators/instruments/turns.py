"""Let the runs of a host take turns at an instrument, by locks that the system lets go where a process dies."""

from __future__ import annotations

import fcntl
import hashlib
import os
import weakref

from orchestrator.files import note_in_lock, open_lock, refused
from orchestrator.secrecy import own_runtime_folder

_NOTE_BYTES = 1000


class BusyError(Exception):
    """Others have the instrument; the text says who."""


class Turn:
    """The right to use an instrument, from `take_turn` until it is let go or nobody knows of it any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    def let_go(self) -> None:
        """Let the next one have it; a second time is no error."""
        if self._close.alive:
            note_in_lock(self._descriptor, "")
            self._close()


def take_turn(identity: str, at_once: int, note: str) -> Turn:
    """Take one of the ``at_once`` places at an instrument, and leave a note that says who has it.

    ``identity`` is a text that is the same for all runs of this user which use the instrument. Raises `BusyError` with
    the notes of the others, and `InfrastructureError` where this machine refuses the lock.
    """
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    folder = own_runtime_folder()
    holders = []
    for place in range(at_once):
        descriptor = open_lock(folder / f"instrument-{digest}-{place}.lock")
        if _is_locked(descriptor):
            note_in_lock(descriptor, note)
            return Turn(descriptor)
        holders.append(_note(descriptor))
        os.close(descriptor)
    raise BusyError("; ".join(holders))


def _is_locked(descriptor: int) -> bool:
    """Lock the file unless somebody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        os.close(descriptor)
        raise refused(error, "lock the instrument") from error
    return True


def _note(descriptor: int) -> str:
    return os.pread(descriptor, _NOTE_BYTES, 0).decode("utf-8", "replace") or "somebody is about to use it"
