"""Attempts that ask for the same are one job, which says what its submission needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.operators.slurm.batches import batches_of, submission_of
from orchestrator.operators.slurm.parcels import Places
from orchestrator.wiring.model import SlurmBackend
from tests.unit.operators.slurm.attempts import attempt

RUN = Path("/runs/20261120_120000_abcdef01")


@pytest.mark.parametrize(
    ("extra", "lost", "avoided"),
    [
        ((), [], ""),
        ((), ["n1", "n[3-4]"], "n1,n[3-4]"),
        (("--exclude=n9", "--exclusive"), ["n1"], "n9,n1"),
        (("--exclude=n9",), [], ""),
    ],
)
def test_nodes_on_which_it_was_lost_are_avoided_beside_those_of_the_wiring(
    extra: tuple[str, ...], lost: list[str], avoided: str
) -> None:
    """Slurm would count the last list alone; without lost ones, the directive says it."""
    backend = SlurmBackend.model_validate(
        {"type": "slurm", "workspace_root": "/w", "slurm": {"extra": list(extra)}}, strict=False
    )
    (batch,) = batches_of([attempt(RUN, "a", **({"exclude": lost} if lost else {}))], backend, None)

    assert submission_of(batch, Places(root="/w"), backend).avoid == avoided


def test_attempts_that_avoid_other_nodes_are_no_array() -> None:
    """An array has one list."""
    backend = SlurmBackend.model_validate({"type": "slurm", "workspace_root": "/w"})
    attempts = [attempt(RUN, "a"), attempt(RUN, "b", exclude=["n1"]), attempt(RUN, "c", exclude=["n1"])]

    batches = list(batches_of(attempts, backend, None))

    assert [[one.attempt_id for one in batch.assignments] for batch in batches] == [["a"], ["b", "c"]]
