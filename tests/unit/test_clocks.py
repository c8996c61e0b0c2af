"""Nothing ends early, and nothing is out of order, because a clock was set while it ran."""

from __future__ import annotations

import itertools
import time

import pytest

from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from tests.unit.workshop import Workshop, recipe, shell

HOUR = 3600.0
TEN_YEARS = 10 * 365 * 24 * HOUR


@pytest.mark.parametrize("jumps", [(TEN_YEARS,), (-2 * HOUR,), (0.0, HOUR, -HOUR), (TEN_YEARS, -2 * HOUR, 0.0)])
def test_F44_a_clock_that_jumps_ends_nothing(  # noqa: N802  row of the fault matrix
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, jumps: tuple[float, ...]
) -> None:
    """Steps here and elsewhere have the time that they are given, whatever the time of day is."""
    wiring = workshop.write("operators.yaml", "operators: { hpc.default: { kind: hpc, backend: { type: local } } }")
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(wiring))
    real, real_ns, offsets = time.time, time.time_ns, itertools.cycle(jumps)
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(next(offsets) * 1e9))
    keys = "stdout: free, timeout: 60s, parallel: true"

    ran = workshop.run(
        recipe(shell("here", "sleep 0.2", keys), shell("away", "sleep 0.2", f"{keys}, operator_key: hpc.default")),
        inline=False,
    )

    assert ran.states == ["COMPLETED", "COMPLETED"]
    with reading(ran.root) as database:
        numbers = [event.seq for event in iterate_events(database)]
    assert numbers == list(range(1, len(numbers) + 1))
