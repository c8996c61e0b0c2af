"""Read keys from a terminal, one by one, as they are pressed."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_ESCAPE = b"\x1b"
# What terminals send for one key, in their several dialects.
_SEQUENCES = {
    b"[A": "up",
    b"OA": "up",
    b"[B": "down",
    b"OB": "down",
    b"[C": "right",
    b"OC": "right",
    b"[D": "left",
    b"OD": "left",
    b"[H": "home",
    b"OH": "home",
    b"[1~": "home",
    b"[F": "end",
    b"OF": "end",
    b"[4~": "end",
    b"[5~": "page up",
    b"[6~": "page down",
}
_NAMED = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}
# The rest of a sequence follows its first byte at once; a person does not.
_SEQUENCE_SEC = 0.05
_CHUNK = 4096


class HangUpError(Exception):
    """The terminal has gone."""


def split_keys(typed: bytes, *, is_whole: bool) -> tuple[list[str], bytes]:
    """Give the keys that bytes stand for, and the bytes at the end that may be the beginning of one.

    With ``is_whole`` nothing follows them: an escape at the end is the key of that name. A key is its letter, or a name
    such as ``page up``; what stands for no key is left out.
    """
    keys: list[str] = []
    while typed:
        length = _length(typed)
        if length is None and not is_whole:
            break
        part, typed = typed[: length or len(typed)], typed[length or len(typed) :]
        if key := _key(part):
            keys.append(key)
    return keys, typed


def _length(typed: bytes) -> int | None:
    """Give how many bytes the first key has; None where they are not all there."""
    if typed[:1] != _ESCAPE:
        need = next((size for size, least in ((4, 0xF0), (3, 0xE0), (2, 0xC0)) if typed[0] >= least), 1)
        return need if len(typed) >= need else None
    if typed[1:2] not in (b"[", b"O"):
        return 1 if len(typed) > 1 else None
    ends = (at + 1 for at in range(2, len(typed)) if 0x40 <= typed[at] <= 0x7E)  # noqa: PLR2004  as ECMA-48 has it
    return next(ends, None)


def _key(part: bytes) -> str:
    if part == _ESCAPE:
        return "escape"
    if part[:1] == _ESCAPE:
        return _SEQUENCES.get(part[1:], "")
    letter = part.decode("utf-8", "replace")
    return _NAMED.get(letter, letter if letter.isprintable() and "\ufffd" not in letter else "")


class Keyboard:
    """The keys of the terminal on standard input; it also wakes when the window changes its size."""

    def __init__(self, woken: int) -> None:
        self._source = sys.stdin.fileno()
        self._woken = woken
        self._rest = b""

    def wait(self, sec: float) -> list[str]:
        """Give the keys that were pressed, as soon as there is one; after so many seconds, or when woken, none.

        Raises `HangUpError` where the terminal has gone.
        """
        wait_sec = _SEQUENCE_SEC if self._rest else sec
        ready, _, _ = select.select([self._source, self._woken], [], [], wait_sec)
        if self._woken in ready:
            os.read(self._woken, _CHUNK)
        if self._source in ready:
            self._rest += self._read()
        keys, self._rest = split_keys(self._rest, is_whole=not ready)
        return keys

    def _read(self) -> bytes:
        try:
            typed = os.read(self._source, _CHUNK)
        except OSError as error:
            raise HangUpError from error
        if not typed:
            raise HangUpError
        return typed


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Take each key at once and show none, until the block ends; SIGTERM ends the program by way of the block's end."""
    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)
    with _signals() as woken:
        termios.tcsetattr(source, termios.TCSADRAIN, _raw(before, bytes([os.fpathconf(source, "PC_VDISABLE")])))
        try:
            yield Keyboard(woken)
        finally:
            with suppress(termios.error):  # a terminal that has gone needs no settings
                termios.tcsetattr(source, termios.TCSAFLUSH, before)


def _raw(settings: list[Any], unused: bytes) -> list[Any]:
    """Give the settings with which keys come at once.

    ^C still interrupts; the keys that suspend and quit would leave a torn screen, and are ``unused``.
    """
    changed = [*settings[:6], list(settings[6])]
    flags, characters = 3, changed[6]
    changed[flags] &= ~(termios.ICANON | termios.ECHO)
    for number in (termios.VSUSP, termios.VQUIT):
        characters[number] = unused
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return changed


@contextmanager
def _signals() -> Iterator[int]:
    """Give a descriptor that can be read once the window has changed its size."""
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    kept = {number: signal.signal(number, act) for number, act in _ACTS.items()}
    earlier = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        yield woken
    finally:
        signal.set_wakeup_fd(earlier)
        for number, act in kept.items():
            signal.signal(number, act)
        os.close(woken)
        os.close(waker)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Let the descriptor alone tell of it."""


_ACTS = {signal.SIGTERM: _leave, signal.SIGWINCH: _pass}
