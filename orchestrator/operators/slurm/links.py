"""Make the operator of a Slurm backend: those that log in alike share one way to the site."""

from __future__ import annotations

from orchestrator.operators.slurm.cluster import SlurmOperator
from orchestrator.operators.slurm.sites import Site
from orchestrator.remote.local import LocalTransport
from orchestrator.wiring.model import SlurmBackend


def slurm_operator(backend: SlurmBackend) -> SlurmOperator:
    """Give the operator of a backend; nothing is asked of the site yet."""
    return SlurmOperator(Site(LocalTransport("here"), backend.workspace_root, "here"), backend)
