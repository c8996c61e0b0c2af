"""A job that nobody knows of is absent once two searches have found nothing that are far enough apart."""

from __future__ import annotations

import pytest

from orchestrator.operators.slurm.answers import Settings
from orchestrator.operators.slurm.settling import Inquiry, Search, Settled, grace_sec_of
from orchestrator.wiring.model import SlurmBackend


@pytest.mark.parametrize(
    ("wired", "message_timeout_sec", "expected"),
    [({}, 10.0, 120.0), ({}, 100.0, 200.0), ({}, None, 120.0), ({"grace": 1.0}, 100.0, 1.0)],
)
def test_S5_searches_are_twice_as_far_apart_as_slurm_may_take(  # noqa: N802  a statement of the design
    wired: dict[str, float], message_timeout_sec: float | None, expected: float
) -> None:
    """Or as far as the wiring says."""
    backend = SlurmBackend.model_validate({"type": "slurm", "workspace_root": "/w", **wired})

    assert grace_sec_of(backend, Settings(message_timeout_sec=message_timeout_sec)) == expected


def test_S5_only_whole_searches_prove_anything() -> None:  # noqa: N802  a statement of the design
    """One that was not whole neither begins nor ends the time."""
    inquiry = Inquiry()

    def searched(at_sec: float, *, is_whole: bool = True) -> Settled | None:
        return inquiry.take(Search(at_sec=at_sec, ids=frozenset(), is_whole=is_whole), grace_sec=10.0)

    assert searched(0.0, is_whole=False) is None
    assert searched(5.0) is None
    assert searched(14.0) is None
    assert searched(16.0, is_whole=False) is None
    assert searched(17.0) == Settled(is_absent=True)


def test_S6_the_first_of_several_is_kept() -> None:  # noqa: N802  a statement of the design
    """By number, as Slurm gave them out."""
    settled = Inquiry().take(Search(at_sec=0.0, ids=frozenset({"12", "9", "100"}), is_whole=False), grace_sec=10.0)

    assert settled == Settled(adopt="9", doubles=("12", "100"))
