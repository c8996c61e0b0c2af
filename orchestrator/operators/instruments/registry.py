"""Find the instrument that a wiring means, by the type of its backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.operators.instruments.bench import Bench
from orchestrator.operators.instruments.by_command import CommandLink
from orchestrator.operators.instruments.by_files import FilesLink
from orchestrator.operators.instruments.by_http import HttpLink
from orchestrator.operators.instruments.measurement import Instrument, Link
from orchestrator.wiring.model import CommandBackend, FilesBackend, HttpBackend

ExperimentBackend = FilesBackend | CommandBackend | HttpBackend


def instrument_for(operator_key: str, backend: ExperimentBackend, *, at_once: int | None = 1) -> Instrument:
    """Give the instrument that an operator key is wired to, behind the lock of this host.

    ``at_once`` is how many measurements all runs together have there at a time; None is no limit, and no lock. Runs
    share an instrument that has the same driver command or address; one by files goes by its operator key.
    """
    link, identity = _LINKS[type(backend)](operator_key, backend)
    return Bench(link, identity=f"{backend.type}\0{identity}", at_once=at_once)


def _by_files(operator_key: str, _: FilesBackend) -> tuple[Link, str]:
    return FilesLink(), operator_key


def _by_command(_: str, backend: CommandBackend) -> tuple[Link, str]:
    return CommandLink(command=backend.command, timeout_sec=backend.timeout), "\0".join(backend.command)


def _by_http(_: str, backend: HttpBackend) -> tuple[Link, str]:
    return HttpLink(url=backend.url, timeout_sec=backend.timeout), backend.url.rstrip("/")


_LINKS: dict[type[ExperimentBackend], Callable[[str, Any], tuple[Link, str]]] = {
    FilesBackend: _by_files,
    CommandBackend: _by_command,
    HttpBackend: _by_http,
}
