"""Look whether what an operator key means is there and can be used, as far as that can be told without using it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import ScriptletError
from orchestrator.operators.findings import Finding, Verdict
from orchestrator.operators.postings import shared_folder
from orchestrator.operators.slurm.checkup import check
from orchestrator.operators.slurm.links import site_of
from orchestrator.remote.login import Ask
from orchestrator.wiring.model import CommandBackend, HttpBackend, HumanOperator, SlurmBackend
from orchestrator.wiring.reading import Wired

_CONNECT_SEC = 10.0
_PORTS = {"http": 80, "https": 443}
_NOTHING = Finding(what="nothing", found="there is nothing to check")


def checkup(wired: Wired, ask: Ask | None = None) -> Iterator[Finding]:
    """Look at an operator; ``ask`` is how a person is asked for what a host wants somebody to type."""
    if isinstance(wired.operator, HumanOperator):
        yield from [*_people(wired.operator)] or [_NOTHING]
        return
    look = _LOOKS.get(type(wired.backend))
    yield from look(wired.backend, ask) if look else [_NOTHING]


def _people(operator: HumanOperator) -> Iterator[Finding]:
    yield from (_program("notify", one.command[0]) for one in operator.notify if one.command)
    if operator.shared_folder:
        try:
            shared_folder(Path(operator.shared_folder))
        except ScriptletError as error:
            yield Finding(what="shared_folder", verdict=Verdict.FAIL, found=error.message, todo=error.hint)
        else:
            yield Finding(what="shared_folder", found=operator.shared_folder)


def _cluster(backend: SlurmBackend, ask: Ask | None) -> Iterator[Finding]:
    site = site_of(backend, ask)
    try:
        yield from check(site, backend)
    finally:
        site.let_go()


def _driver(backend: CommandBackend, _: Ask | None) -> Iterator[Finding]:
    yield _program("driver", backend.command[0])


def _program(what: str, name: str) -> Finding:
    """Look for a program as it is started: by its path, or on the PATH."""
    if found := shutil.which(name):
        return Finding(what=what, found=str(Path(found).absolute()))
    todo = "install it, make it executable, or mend the command in operators.yaml"
    return Finding(what=what, verdict=Verdict.FAIL, found=f"there is no program {name!r}", todo=todo)


def _address(backend: HttpBackend, _: Ask | None) -> Iterator[Finding]:
    """Connect to an instrument and send nothing."""
    url = urlsplit(backend.url)
    place = (url.hostname or "", url.port or _PORTS[url.scheme])
    shown = f"{place[0]} port {place[1]}"
    try:
        with closing(socket.create_connection(place, timeout=_CONNECT_SEC)):
            yield Finding(what="reach", found=shown)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        todo = "see that the instrument's program runs, and the network"
        yield Finding(what="reach", verdict=Verdict.FAIL, found=f"{shown}: {reason}", todo=todo)


_LOOKS: dict[type, Callable[[Any, Ask | None], Iterator[Finding]]] = {
    SlurmBackend: _cluster,
    CommandBackend: _driver,
    HttpBackend: _address,
}
