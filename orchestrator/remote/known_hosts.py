"""Know hosts by their keys, from the files that OpenSSH keeps, and add to them what a person trusts."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from orchestrator.errors import InfrastructureError
from orchestrator.files import make_directory, refused, replace_file
from orchestrator.remote.ssh_config import Hop

_HASHED = "|1|"
_REVOKED = "@revoked"
_FIELDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A host's public key: its kind, such as ``ssh-ed25519``, and its bytes."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """Give it as ``ssh-keygen -l`` shows it, which is what sites publish."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"


class Verdict(Enum):
    """What is known of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    key: HostKey
    is_revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the files say of one host."""

    _lines: tuple[_Line, ...]

    @property
    def kinds(self) -> list[str]:
        """Give the kinds of its keys, so that it is asked for one that can be compared."""
        return [line.key.kind for line in self._lines if not line.is_revoked]

    def verdict(self, key: HostKey) -> Verdict:
        """Judge the key that a host shows; another one than the known, of whatever kind, has changed."""
        if any(line.key == key and line.is_revoked for line in self._lines):
            return Verdict.CHANGED
        if any(line.key == key for line in self._lines):
            return Verdict.KNOWN
        return Verdict.CHANGED if self.kinds else Verdict.UNKNOWN


def known_of(hop: Hop) -> Known:
    """Read what is known of a host; raises `InfrastructureError` for a file that cannot be read."""
    files = (*hop.own_known_hosts, *hop.all_known_hosts)
    return Known(_lines=tuple(line for path in files for line in _read(path, hop.known_as)))


def trust(hop: Hop, key: HostKey) -> Path:
    """Add a key to the user's own file, which is given back; names are hashed where the configuration hashes them.

    Raises `InfrastructureError`.
    """
    if not hop.own_known_hosts:
        message = f"the SSH configuration of {hop.host} has no UserKnownHostsFile"
        raise InfrastructureError(message, hint="name one in it: nobody else remembers which keys are trusted")
    path = hop.own_known_hosts[0].resolve()
    name = _hashed(hop.known_as, os.urandom(20)) if hop.hashes_names else hop.known_as
    line = f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"
    make_directory(path.parent)
    before = _content(path)
    gap = b"\n" if before and not before.endswith(b"\n") else b""
    replace_file(path, before + gap + line.encode())
    return hop.own_known_hosts[0]


def _read(path: Path, name: str) -> Iterator[_Line]:
    for text in _content(path).decode("utf-8", "replace").splitlines():
        fields = text.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        # What authorities vouch for is not understood, so it vouches for nothing.
        if len(fields) < _FIELDS or fields[0].startswith("#") or marker not in ("", _REVOKED):
            continue
        with contextlib.suppress(binascii.Error, ValueError):
            if _is_meant(name, fields[0].split(",")):
                key = HostKey(kind=fields[1], blob=base64.b64decode(fields[2], validate=True))
                yield _Line(key=key, is_revoked=marker == _REVOKED)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise refused(error, f"read {path}") from error


def _is_meant(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a line is about a host: one of its patterns fits, and none with ``!`` does."""
    is_meant = False
    for pattern in patterns:
        if pattern.startswith(_HASHED):
            is_meant |= hmac.compare_digest(pattern, _hashed(name, base64.b64decode(pattern.split("|")[2])))
        elif pattern.startswith("!") and _fits(name, pattern[1:]):
            return False
        else:
            is_meant |= _fits(name, pattern)
    return is_meant


def _fits(name: str, pattern: str) -> bool:
    """Compare with ``*`` and ``?`` alone; square brackets stand for themselves, around hosts with a port."""
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _hashed(name: str, salt: bytes) -> str:
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"{_HASHED}{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
