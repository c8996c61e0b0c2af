"""Messages come out of a pipe whole and in order, however it cuts them."""

from __future__ import annotations

import os
from threading import Thread
from typing import Any

import pytest

from orchestrator.workers.frames import decode_frame, encode_frame, read_frame, write_all

MESSAGES: list[dict[str, Any]] = [
    {"n": 1},
    {"text": "Grüße \udcff", "list": [None, True, 1.5]},
    {"long": "x" * 300_000},
]


def test_messages_come_out_as_they_went_in() -> None:
    """Several in one buffer, one after the other."""
    buffer = bytearray(b"".join(encode_frame(message) for message in MESSAGES))

    assert [decode_frame(buffer) for _ in MESSAGES] == MESSAGES
    assert decode_frame(buffer) is None


@pytest.mark.parametrize("size", [0, 3, 4, 10])
def test_half_a_message_is_none_yet(size: int) -> None:
    """What has come stays where it is."""
    frame = encode_frame({"number": 12345})
    buffer = bytearray(frame[:size])

    assert decode_frame(buffer) is None
    assert buffer == frame[:size]


def test_reading_takes_one_message_and_no_more() -> None:
    """The next one belongs to the next reader."""
    out, into = os.pipe()
    frames = b"".join(encode_frame(message) for message in MESSAGES)
    writer = Thread(target=write_all, args=(into, frames))
    writer.start()

    assert [read_frame(out) for _ in MESSAGES] == MESSAGES
    writer.join()
    os.close(into)
    assert read_frame(out) is None
    os.close(out)


def test_a_writer_that_dies_within_a_message_ends_the_reading() -> None:
    """Half a message is none."""
    out, into = os.pipe()
    os.write(into, encode_frame({"n": 1})[:-2])
    os.close(into)

    assert read_frame(out) is None
    os.close(out)
