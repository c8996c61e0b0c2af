"""Pass JSON messages through pipes, each with its length in front."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_HEAD = struct.Struct(">I")
_CHUNK = 1 << 16


def encode_frame(message: dict[str, Any]) -> bytes:
    """Give a message as it goes through the pipe."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _HEAD.pack(len(body)) + body


def decode_frame(buffer: bytearray) -> dict[str, Any] | None:
    """Take the first whole message out of ``buffer``; None while it is not complete."""
    if len(buffer) < _HEAD.size:
        return None
    end = _HEAD.size + _HEAD.unpack_from(buffer)[0]
    if len(buffer) < end:
        return None
    message: dict[str, Any] = json.loads(bytes(buffer[_HEAD.size : end]))
    del buffer[:end]
    return message


def read_frame(descriptor: int) -> dict[str, Any] | None:
    """Wait for one message; None when the other side is gone."""
    buffer = bytearray()
    while (message := decode_frame(buffer)) is None:
        chunk = os.read(descriptor, _wanted(buffer))
        if not chunk:
            return None
        buffer += chunk
    return message


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything, however the pipe cuts it."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _wanted(buffer: bytearray) -> int:
    """Ask for no byte beyond the message, since the next one belongs to the next call."""
    if len(buffer) < _HEAD.size:
        return _HEAD.size - len(buffer)
    length: int = _HEAD.unpack_from(buffer)[0]
    return min(_CHUNK, _HEAD.size + length - len(buffer))
