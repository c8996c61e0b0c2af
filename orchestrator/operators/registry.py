"""Make the operator behind an operator key: people, instruments, what a backend or another distribution brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.operators.assignments import Operator
from orchestrator.operators.instruments.registry import instrument_for
from orchestrator.operators.laboratory import Laboratory
from orchestrator.operators.local import LocalOperator
from orchestrator.operators.pausing import paused
from orchestrator.operators.people import People
from orchestrator.operators.rehearsal import Rehearsal
from orchestrator.operators.slurm.links import slurm_operator
from orchestrator.plan import usable_processors
from orchestrator.store.database import Database
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.model import (
    CommandBackend,
    FilesBackend,
    HttpBackend,
    HumanOperator,
    LocalBackend,
    SlurmBackend,
)
from orchestrator.wiring.reading import Wired, Wiring, built_in
from orchestrator.wiring.resolution import resolved_from
from orchestrator.workers.pool import step_environment

EVERYWHERE = ""

Environment = Mapping[str, str]


def _on_this_machine(wired: Wired, environment: Environment, _: Sequence[Path]) -> Operator:
    is_rehearsed = isinstance(wired.backend, LocalBackend) and wired.backend.dry_run
    return Rehearsal() if is_rehearsed else LocalOperator(environment)


def _in_a_laboratory(wired: Wired, _: Environment, __: Sequence[Path]) -> Operator:
    backend: Any = wired.backend
    return Laboratory(instrument_for(wired.key, backend, at_once=limit_of(wired)))


def _on_a_cluster(wired: Wired, environment: Environment, hold_folders: Sequence[Path]) -> Operator:
    backend: Any = wired.backend
    if backend.dry_run:
        return Rehearsal()
    return slurm_operator(backend, environment, lambda: paused(hold_folders, wired.key))


_BACKENDS: dict[type, Callable[[Wired, Environment, Sequence[Path]], Operator]] = {
    LocalBackend: _on_this_machine,
    FilesBackend: _in_a_laboratory,
    CommandBackend: _in_a_laboratory,
    HttpBackend: _in_a_laboratory,
    SlurmBackend: _on_a_cluster,
}


def wiring_of(database: Database) -> Wiring:
    """Give what operator keys mean in a run."""
    kept = read_kept(database)
    return resolved_from(kept, database.run_root).wiring if kept else built_in()


def operator_for(wired: Wired, withheld: Collection[str] = (), hold_folders: Sequence[Path] = ()) -> Operator:
    """Make the operator of a key; variables ``withheld`` are not handed on to what it starts.

    ``hold_folders`` are those in which somebody may have paused it.
    """
    if isinstance(wired.operator, HumanOperator):
        return People(wired.operator.notify)
    environment = {name: value for name, value in step_environment(os.environ).items() if name not in withheld}
    if wired.plugin is not None:
        return wired.plugin.make(wired.key, wired.backend, environment)  # type: ignore[no-any-return]
    return _BACKENDS[type(wired.backend)](wired, environment, hold_folders)


def limits_of(wiring: Wiring) -> dict[str, int]:
    """Give how many attempts each operator key may have at once, and all together; what has no limit is left out.

    Where nobody says anything, this machine runs one attempt for each of its processors, and an instrument one.
    """
    limits = {key: limit for key, wired in wiring.operators.items() if (limit := limit_of(wired)) is not None}
    if wiring.max_concurrent_global is not None:
        limits[EVERYWHERE] = wiring.max_concurrent_global
    return limits


def limit_of(wired: Wired) -> int | None:
    """Give how many attempts an operator may have at once, whoever says so; None where there is no limit."""
    says_so = "max_concurrent" in wired.operator.model_fields_set or wired.max_concurrent is not None
    if not says_so and wired.kind == "experiment":
        return 1
    if says_so or not isinstance(wired.backend, LocalBackend) or wired.backend.dry_run:
        return wired.max_concurrent
    return usable_processors()
