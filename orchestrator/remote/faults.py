"""Say in plain words why a host cannot be reached or an answer was lost."""

from __future__ import annotations

import os
import socket

_NO_TIME = "there was no answer in time"
# What the library says, for what people call it.
_SAID = {
    "Timeout opening channel.": _NO_TIME,
    "No existing session": _NO_TIME,
    "SSH session not active": "the connection was lost",
    "Channel closed.": "the connection was lost",
    "Unable to open channel.": "the connection was lost",
    "Negotiation failed.": "the connection was closed before SSH began",
}
_BANNER = "Error reading SSH protocol banner"


def reason(error: BaseException | None) -> str:
    """Give the reason in words that begin with a small letter; it holds nothing that anybody typed."""
    from paramiko.ssh_exception import ChannelException, SSHException

    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ChannelException):
        return f"it refuses a channel: {error.text.lower()}"
    if isinstance(error, SSHException):
        said = str(error)
        return "it does not answer as SSH does" if said.startswith(_BANNER) else _SAID.get(said, said[:300].lower())
    return "the connection was closed"


def _of_system(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if error.errno is not None:
        return os.strerror(error.errno).lower()
    return _NO_TIME if isinstance(error, TimeoutError) else str(error).lower() or "the connection failed"
