"""Say how a host is reached, as the user's own SSH configuration has it: OpenSSH itself is asked."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UsageError

_ASK_SEC = 20.0
_MOST_JUMPS = 8
_NONE = frozenset({"", "none"})
_SSH_PORT = 22
_CONNECT_SEC = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What operators.yaml says of reaching a host; what is left out is as the SSH configuration has it."""

    host: str
    user: str | None = None
    port: int | None = None
    key_path: str | None = None
    config_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One host on the way: where it is, who logs in with what, and under which name its key is known where."""

    host: str
    port: int
    user: str
    key_files: tuple[Path, ...]
    uses_other_keys: bool
    known_as: str
    own_known_hosts: tuple[Path, ...]
    all_known_hosts: tuple[Path, ...]
    hashes_names: bool
    connect_sec: float


def way_to(login: Login) -> tuple[Hop, ...]:
    """Give the hosts to go through, the one that is meant last.

    Raises `UsageError` where the configuration cannot be read, or asks for what is not supported.
    """
    hops = tuple(_ways(login, follows=True))
    if len(hops) > _MOST_JUMPS:
        raise UsageError(f"{login.host}: more than {_MOST_JUMPS} hosts to jump over", hint="see ProxyJump")
    return hops


def _ways(login: Login, *, follows: bool, depth: int = 0) -> Iterator[Hop]:
    if depth > _MOST_JUMPS:
        raise UsageError(f"{login.host}: its ProxyJump leads in a circle", hint="see the SSH configuration")
    said = _ask(login)
    if follows:
        jumps = said["proxyjump"][0] if said["proxyjump"] else ""
        for number, jump in enumerate([] if jumps in _NONE else jumps.split(",")):
            # Only the first of several may have a way of its own: the others are reached over the one before.
            yield from _ways(_jump(jump, login.config_path), follows=number == 0, depth=depth + 1)
    yield _hop(login, said)


def _ask(login: Login) -> Mapping[str, Sequence[str]]:
    """Give what OpenSSH makes of its configuration: the values of each keyword, which are in small letters."""
    options = [
        *(["-F", str(Path(login.config_path).expanduser())] if login.config_path else []),
        *(["-l", login.user] if login.user else []),
        *(["-p", str(login.port)] if login.port else []),
    ]
    try:
        asked = subprocess.run(
            ["ssh", *options, "-G", "--", login.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=_ASK_SEC,
            check=True,
        )
    except FileNotFoundError as error:
        hint = "install OpenSSH's client; on Debian: apt-get install openssh-client"
        raise UsageError("the program 'ssh', which reads the SSH configuration, is missing", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        hint = "see whether a 'Match exec' of the configuration hangs"
        raise UsageError(f"'ssh -G {login.host}' did not end within {_ASK_SEC:g} seconds", hint=hint) from error
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip()[-500:]
        raise UsageError(f"'ssh -G {login.host}' failed: {said}", hint="mend the SSH configuration") from error
    values: dict[str, list[str]] = defaultdict(list)
    for line in asked.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        values[keyword].append(value)
    return values


def _hop(login: Login, said: Mapping[str, Sequence[str]]) -> Hop:
    if said["proxycommand"] and said["proxycommand"][0] not in _NONE:
        hint = "write it as ProxyJump, which every OpenSSH since 2016 knows"
        raise UsageError(f"{login.host}: its ProxyCommand is not supported", hint=hint)
    host, port, user = said["hostname"][0], int(said["port"][0]), said["user"][0]
    alias = said["hostkeyalias"][0] if said["hostkeyalias"] else ""
    name = host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"
    tokens = {"%": "%", "d": str(Path.home()), "h": host, "n": login.host, "p": str(port), "r": user}
    tokens |= {"u": getpass.getuser(), "l": socket.gethostname()}
    own = [Path(login.key_path).expanduser()] if login.key_path else []
    seconds = said["connecttimeout"][0] if said["connecttimeout"] else ""
    return Hop(
        host=host,
        port=port,
        user=user,
        key_files=(*own, *(_path(value, tokens) for value in said["identityfile"] if value not in _NONE)),
        uses_other_keys=said["identitiesonly"] != ["yes"],
        known_as=alias.lower() if alias not in _NONE else name,
        own_known_hosts=_paths(said["userknownhostsfile"], tokens),
        all_known_hosts=_paths(said["globalknownhostsfile"], tokens),
        hashes_names=said["hashknownhosts"] == ["yes"],
        connect_sec=float(seconds) if seconds.isdigit() and int(seconds) else _CONNECT_SEC,
    )


def _jump(text: str, config_path: str | None) -> Login:
    """Read ``[ssh://][user@]host[:port]``."""
    user, _, place = text.strip().removeprefix("ssh://").rpartition("@")
    host, colon, port = place.rpartition(":")
    is_port = bool(colon) and port.isdigit() and (":" not in host or host.endswith("]"))
    return Login(
        host=(host if is_port else place).strip("[]"),
        user=user or None,
        port=int(port) if is_port else None,
        config_path=config_path,
    )


def _paths(values: Sequence[str], tokens: Mapping[str, str]) -> tuple[Path, ...]:
    return tuple(_path(word, tokens) for value in values for word in value.split() if word not in _NONE)


def _path(value: str, tokens: Mapping[str, str]) -> Path:
    """Put in what stands for the user's home and for the host; a token that is not known stays."""
    first, *rest = value.split("%")
    text, rests = first, iter(rest)
    for part in rests:
        if not part:  # two in a row stand for one
            text += f"%{next(rests, '')}"
        else:
            text += tokens.get(part[0], f"%{part[0]}") + part[1:]
    return Path(text).expanduser()
