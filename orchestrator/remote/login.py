"""Log in: with the keys of an agent and of files, and with what a person types, which is kept nowhere."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import LoginNeededError, LoginRefusedError
from orchestrator.remote.ssh_config import Hop

if TYPE_CHECKING:
    from paramiko import AgentKey, PKey, Transport

INTERACTIVE_SEC = 300.0
_OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a host asks a person; the answer may be seen while it is typed only where ``is_shown``."""

    text: str
    is_shown: bool


# Gives an answer for each prompt, or None where nobody answers.
Ask = Callable[[Sequence[Prompt]], Sequence[str] | None]


class Person:
    """Asks a person during one login in a session, which each host on the way may need: a code is of no use twice."""

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._was_asked = False

    @property
    def can_be_asked(self) -> bool:
        """Tell whether there is somebody who was not asked for an earlier login."""
        return self._ask is not None

    @contextlib.contextmanager
    def during_login(self) -> Iterator[None]:
        """Hold one login; who was asked for it is asked no more afterwards, whatever became of it."""
        try:
            yield
        finally:
            if self._was_asked:
                self._ask = None

    def asked(self) -> Ask:
        """Give the way to ask, for one host."""
        self._was_asked = True
        return self._ask or (lambda _: None)


def log_in(transport: Transport, hop: Hop, site: str, person: Person, extend: Callable[[float], None]) -> None:
    """Log in to a host whose key was checked; ``extend`` is told how many seconds more a person needs.

    Raises `LoginRefusedError`, `LoginNeededError`, and what the library raises where the connection fails.
    """
    from paramiko.ssh_exception import BadAuthenticationType

    trial = _Trial(transport, hop, site)
    try:
        transport.auth_none(hop.user)
    except BadAuthenticationType as error:
        methods = list(error.allowed_types)
    else:
        return
    if "publickey" in methods:
        methods = trial.with_keys(methods)
    if "keyboard-interactive" in methods:
        trial.with_person(person, extend)
    elif methods:
        raise trial.refused()


class _Trial:
    """The attempts to log in to one host, and what is worth knowing where they fail."""

    def __init__(self, transport: Transport, hop: Hop, site: str) -> None:
        self._transport = transport
        self._hop = hop
        self._site = site
        self._notes: list[str] = []

    def with_keys(self, methods: Sequence[str]) -> list[str]:
        """Offer one key after the other; give the methods that are still asked for, and none where one sufficed."""
        from paramiko.ssh_exception import AuthenticationException, SSHException

        with contextlib.closing(_keys(self._hop, self._notes)) as keys:
            for name, key in keys:
                try:
                    return list(self._transport.auth_publickey(self._hop.user, key))
                except SSHException as error:
                    # A host ends the connection after some keys; to try again would lock the account.
                    if not isinstance(error, AuthenticationException) and not self._notes:
                        raise
                    self._notes.append(f"{name} was refused")
                    if not self._transport.is_active():
                        raise self.refused() from error
        return list(methods)

    def with_person(self, person: Person, extend: Callable[[float], None]) -> None:
        """Let a person answer what the host asks."""
        from paramiko.ssh_exception import AuthenticationException

        if not person.can_be_asked:
            raise self._needed()
        ask = person.asked()
        is_unanswered = False

        def answer(title: str, instructions: str, fields: Sequence[tuple[str, bool]]) -> list[str]:
            nonlocal is_unanswered
            said = ask([_prompt(text, title, instructions, is_shown=shown) for text, shown in fields]) if fields else []
            is_unanswered = said is None
            return list(said or [""] * len(fields))

        extend(INTERACTIVE_SEC)
        self._transport.auth_timeout = INTERACTIVE_SEC
        try:
            self._transport.auth_interactive(self._hop.user, answer)
        except AuthenticationException as error:
            if is_unanswered:
                raise self._needed() from None
            self._notes.append("what was typed was refused")
            raise self.refused() from error

    def refused(self) -> LoginRefusedError:
        """Say what was tried."""
        tried = "; ".join(self._notes) or "there is no key to try"
        hint = f"see that 'ssh {self._hop.user}@{self._hop.host} -p {self._hop.port}' works"
        return LoginRefusedError(f"{self._site}: {self._hop.host} does not let {self._hop.user} in: {tried}", hint=hint)

    def _needed(self) -> LoginNeededError:
        notes = "".join(f"; {note}" for note in self._notes)
        message = (
            f"{self._site}: {self._hop.host} needs login: it asks for something that {self._hop.user} types{notes}"
        )
        return LoginNeededError(message, hint="log in on a terminal, where it is asked once for each command")


def _prompt(text: str, title: str, instructions: str, *, is_shown: bool) -> Prompt:
    """Give a prompt on one line, without anything that a terminal would obey."""
    whole = " ".join(f"{title} {instructions} {text}".split())
    return Prompt(text="".join(letter for letter in whole if letter.isprintable()), is_shown=is_shown)


def _keys(hop: Hop, notes: list[str]) -> Generator[tuple[str, PKey], None, None]:
    """Give the keys that the configuration names, from the agent where it has them, and then the agent's others."""
    from paramiko import Agent
    from paramiko.ssh_exception import SSHException

    try:
        agent = Agent()
    except (SSHException, OSError):
        notes.append("the agent does not answer")
        yield from _offered(hop, [], notes)
        return
    try:
        yield from _offered(hop, list(agent.get_keys()), notes)
    finally:
        agent.close()


def _offered(hop: Hop, agent_keys: list[AgentKey], notes: list[str]) -> Iterator[tuple[str, PKey]]:
    for path in hop.key_files:
        blob = _public_blob(path)
        held = next((key for key in agent_keys if key.blob == blob), None)
        if held is not None:
            agent_keys.remove(held)
            yield f"{path} of the agent", held
        elif (loaded := _load(path, notes)) is not None:
            yield str(path), loaded
    if hop.uses_other_keys:
        for key in agent_keys:
            yield f"{key.comment or key.get_name()} of the agent", key


def _public_blob(path: Path) -> bytes | None:
    """Give the public part of a key's file, from beside it or from itself; None where it is in neither."""
    for public in (path.with_name(f"{path.name}.pub"), path):
        with contextlib.suppress(OSError, UnicodeDecodeError, binascii.Error, IndexError):
            return base64.b64decode(public.read_text(encoding="ascii").split()[1], validate=True)
    return None


def _load(path: Path, notes: list[str]) -> PKey | None:
    """Read a private key; where that is not possible, note why."""
    from paramiko import PKey
    from paramiko.pkey import UnknownKeyType
    from paramiko.ssh_exception import SSHException

    try:
        if path.stat().st_mode & _OTHERS:
            notes.append(f"{path} is left out, for others may read it: chmod 600 {path}")
            return None
        return PKey.from_path(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        notes.append(f"{path} cannot be read: {(error.strerror or '').lower()}")
    except TypeError:  # the library's word for a key that asks for a passphrase
        notes.append(f"{path} has a passphrase: ssh-add {path}")
    except (SSHException, UnknownKeyType, ValueError):
        notes.append(f"{path} is no private key that is known here")
    return None
