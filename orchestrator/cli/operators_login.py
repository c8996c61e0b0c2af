"""``matterstack operators trust-host`` and ``login``: know a cluster's host keys, and see that it lets one in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.cli.operators_wiring import cluster_of
from orchestrator.cli.options import wiring_options, workspaces_option
from orchestrator.cli.output import harmless
from orchestrator.cli.prompts import terminal_ask
from orchestrator.errors import HostKeyError, UsageError
from orchestrator.operators.slurm.links import way_to
from orchestrator.remote.known_hosts import HostKey, trust
from orchestrator.remote.ssh_config import Hop
from orchestrator.wiring.model import SlurmBackend

_Command = TypeVar("_Command", bound=Callable[..., object])


def _which_options(command: _Command) -> _Command:
    """Add the options that say whose wiring is meant."""
    command = wiring_options(workspaces_option(command))
    command = click.option("--run", metavar="RUN", help="As this run has kept it.")(command)
    return click.option("--workspace", metavar="SLUG", help="As this workspace has it; else all are searched.")(command)


@click.command("trust-host")
@click.argument("name", metavar="KEY|HOST")
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256:…",
    help="Trust the key with this fingerprint, without asking.",
)
@_which_options
def trust_host(
    name: str,
    fingerprints: tuple[str, ...],
    workspace: str | None,
    run: str | None,
    **options: Any,  # noqa: ANN401  click's own types
) -> None:
    """Show the host key of a cluster that is not known yet, and remember it once it was compared."""
    backend = cluster_of(name, workspace, run, options)
    with way_to(backend, terminal_ask()) as way:
        was_known = True
        while found := way.unknown_host():
            was_known = False
            hop, key = found
            _compare(hop, key, fingerprints)
            click.echo(f"Host trusted: {hop.known_as} {key.kind} {key.fingerprint} in {trust(hop, key)}")
    if was_known:
        click.echo(f"all host keys on the way to {_host(backend)} are known", err=True)


@click.command("login")
@click.argument("name", metavar="KEY|HOST")
@_which_options
def login(
    name: str,
    workspace: str | None,
    run: str | None,
    **options: Any,  # noqa: ANN401  click's own types
) -> None:
    """Log in to a cluster, ask for what it wants somebody to type, and log out: see whether it lets one in.

    What is typed is of no use to runs: each asks for it once, where it is started on a terminal.
    """
    backend = cluster_of(name, workspace, run, options)
    with way_to(backend, terminal_ask()) as way:
        user = harmless(way.run("id -un", deadline_sec=60.0).text.strip())
    click.echo(f"Logged in: {user} at {_host(backend)}")


def _compare(hop: Hop, key: HostKey, fingerprints: tuple[str, ...]) -> None:
    """Let somebody compare a key, or the fingerprints that were given; raise what keeps it from being trusted."""
    shown = f"{hop.known_as} ({hop.host} port {hop.port}) shows an {key.kind} key: {key.fingerprint}"
    if fingerprints:
        if key.fingerprint in fingerprints:
            return
        message = f"{shown}, which is none that was given"
        hint = "ask the site for its fingerprints; where they differ, somebody may be listening"
        raise HostKeyError(message, fingerprint=key.fingerprint, hint=hint, has_changed=False)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        hint = f"compare it with what the site publishes, then add: --fingerprint {key.fingerprint}"
        raise UsageError(f"{shown}, and there is no terminal to ask on", hint=hint)
    click.echo(f"{shown}\nCompare it with what the site publishes.", err=True)
    if not click.confirm("Is it the same?", err=True):
        message = f"{hop.known_as} is not trusted"
        hint = "ask the site for its fingerprints"
        raise HostKeyError(message, fingerprint=key.fingerprint, hint=hint, has_changed=False)


def _host(backend: SlurmBackend) -> str:
    return backend.ssh.host if backend.ssh else ""
