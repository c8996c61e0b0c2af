"""Make the operator of a Slurm backend; those that log in alike share one way to the site, and one connection."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.cluster import SlurmOperator
from orchestrator.operators.slurm.sites import Site
from orchestrator.remote.local import LocalTransport
from orchestrator.remote.login import Ask
from orchestrator.remote.ssh_config import Login
from orchestrator.remote.transport import Transport
from orchestrator.wiring.model import SlurmBackend
from orchestrator.workers.pool import step_environment

_HERE = "this machine"


@dataclass(slots=True, kw_only=True)
class _Way:
    """A way to a site, what its accounting has told, and how many use them."""

    transport: Transport
    accounts: Accounts = field(default_factory=Accounts)
    users: int = 0


_lock = threading.Lock()
_ways: dict[str, _Way] = {}


def slurm_operator(
    backend: SlurmBackend, environment: Mapping[str, str], paused: Callable[[], str] = str
) -> SlurmOperator:
    """Give the operator of a backend; nothing is asked of the site yet. ``paused`` says why nothing is to be submitted.

    Where the site is this machine, ``environment`` is that of Slurm's programs, which hand it on to jobs.
    """
    return SlurmOperator(site_of(backend, environment=environment), backend, paused)


def site_of(backend: SlurmBackend, ask: Ask | None = None, environment: Mapping[str, str] | None = None) -> Site:
    """Give the site of a backend; ``ask`` is how a person is asked for what a host wants somebody to type."""
    identity = _identity(backend)
    with _lock:
        way = _ways.get(identity) or _Way(transport=way_to(backend, ask, environment))
        way.users += 1
        _ways[identity] = way
    return Site(way.transport, backend.workspace_root, identity, way.accounts, let_go=lambda: _let_go(identity))


def _let_go(identity: str) -> None:
    """Close a way that nobody uses any more."""
    with _lock:
        way = _ways[identity]
        way.users -= 1
        if way.users:
            return
        del _ways[identity]
    way.transport.close()


def way_to(backend: SlurmBackend, ask: Ask | None = None, environment: Mapping[str, str] | None = None) -> Transport:
    """Give a way of its own to the site of a backend; nothing is asked of the site yet."""
    if backend.ssh is None:
        return LocalTransport(_HERE, step_environment(os.environ) if environment is None else environment)
    from orchestrator.remote.ssh import SshTransport  # noqa: PLC0415  slow, and few runs need it

    ssh = backend.ssh
    login = Login(host=ssh.host, user=ssh.user, port=ssh.port, key_path=ssh.key_path, config_path=ssh.config_path)
    return SshTransport(ssh.host, login, ask=ask)


def _identity(backend: SlurmBackend) -> str:
    """Give a text that is the same for all who see one queue: the login, or Slurm's configuration on this machine."""
    if backend.ssh is None:
        return f"{_HERE}\0{os.environ.get('SLURM_CONF', '')}\0{os.environ.get('PATH', '')}"
    return "\0".join(
        str(part) for part in (backend.ssh.host, backend.ssh.user, backend.ssh.port, backend.ssh.config_path)
    )
