"""Attempts that ask for the same are one job, which says what its submission needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import utc_now
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.slurm.batches import batches_of, submission_of
from orchestrator.operators.slurm.parcels import Places
from orchestrator.wiring.model import SlurmBackend


def attempt(name: str, **work: Any) -> Assignment:  # noqa: ANN401  any value of JSON
    """Give an attempt of a step that does nothing."""
    return Assignment(
        run_root=Path("/runs/20261120_120000_abcdef01"),
        task_id=name,
        attempt_id=name,
        attempt_index=1,
        operator_key="hpc.default",
        relative_path=name,
        params={},
        work={"step": "s", "needs": {}, "argv": ["true"], **work},
        asked_at=utc_now(),
    )


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
    (batch,) = batches_of([attempt("a", **({"exclude": lost} if lost else {}))], backend, None)

    assert submission_of(batch, Places(root="/w"), backend).avoid == avoided


def test_attempts_that_avoid_other_nodes_are_no_array() -> None:
    """An array has one list."""
    backend = SlurmBackend.model_validate({"type": "slurm", "workspace_root": "/w"})
    attempts = [attempt("a"), attempt("b", exclude=["n1"]), attempt("c", exclude=["n1"])]

    batches = list(batches_of(attempts, backend, None))

    assert [[one.attempt_id for one in batch.assignments] for batch in batches] == [["a"], ["b", "c"]]
