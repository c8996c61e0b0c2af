"""Of long output the head or the tail is kept, and how much is missing is said."""

from __future__ import annotations

import pytest

from orchestrator.workers.calls import signal_fault
from orchestrator.workers.capture import Capture


def captured(*chunks: bytes, keep_tail: bool) -> Capture:
    """Take chunks into a capture of ten bytes."""
    capture = Capture(cap=10, keep_tail=keep_tail)
    for chunk in chunks:
        capture.add(chunk)
    return capture


@pytest.mark.parametrize("keep_tail", [True, False])
def test_short_output_is_kept_as_it_is(keep_tail: bool) -> None:
    """Up to the last byte of the cap."""
    capture = captured(b"01234", b"56789", keep_tail=keep_tail)

    assert (capture.text(), capture.dropped) == ("0123456789", 0)


def test_the_head_is_kept() -> None:
    """The mark stands where the rest was."""
    capture = captured(b"01234567", b"89ab", b"cdef", keep_tail=False)

    assert (capture.text(), capture.dropped) == ("0123456789\n[… 6 bytes cut …]", 6)


def test_the_tail_is_kept() -> None:
    """The mark stands where the beginning was."""
    capture = captured(b"01234567", b"89ab", b"cdef", keep_tail=True)

    assert (capture.text(), capture.dropped) == ("[… 6 bytes cut …]\n6789abcdef", 6)


def test_bytes_that_are_no_text_show() -> None:
    """Nothing that a step writes is an error here."""
    assert captured(b"a\xffb", keep_tail=False).text() == "a�b"


@pytest.mark.parametrize(
    ("exit_code", "fault"), [(0, ""), (3, ""), (-9, "signal SIGKILL"), (-11, "signal SIGSEGV"), (-40, "signal 40")]
)
def test_signals_are_named(exit_code: int, fault: str) -> None:
    """Those without a name by their number."""
    assert signal_fault(exit_code) == fault
