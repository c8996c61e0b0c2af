"""Nothing ends early, and nothing is out of order, because a clock was set while it ran."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time

import pytest

from orchestrator.clock import up_sec, utc_after
from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from tests.unit.workshop import Ran, Workshop, recipe, shell

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


def begun_long_ago(
    workshop: Workshop, *, timeout: str, shift_sec: float, boot_id: str = "", waited_sec: float = 0.0
) -> Ran:
    """Let a measurement wait, set its begin to another time of day as if the clock had been set since, and go on.

    By the clock of the machine it has waited for ``waited_sec``.
    """
    asked = workshop.run(recipe(f"{{name: m, type: experiment, timeout: {timeout}}}"), once=True)
    with sqlite3.connect(asked.root / "state.sqlite") as file:
        file.execute("UPDATE task_attempts SET created_at = ?", (utc_after(shift_sec),))
        then = {"boot_id": boot_id, "sec": 0.0} if boot_id else {"sec": up_sec() - waited_sec}
        patch = (json.dumps({"uptime": then}),)
        file.execute("UPDATE task_attempts SET operator_data_json = json_patch(operator_data_json, ?)", patch)
    file.close()
    return asked


def answered(ran: Ran) -> None:
    """Give the result of the measurement."""
    folder = ran.root / str(ran.attempts("m")[0].relative_path)
    (folder / "experiment_result.json").write_text(json.dumps({"status": "COMPLETED", "data": 1}))


def test_F44_a_clock_set_forward_between_runners_ends_nothing(workshop: Workshop) -> None:  # noqa: N802  as above
    """The time that a measurement has is counted as the machine runs."""
    asked = begun_long_ago(workshop, timeout="1h", shift_sec=-TEN_YEARS)
    answered(asked)

    ran = workshop.resume(asked.root)

    assert ran.states == ["COMPLETED"]
    assert ran.attempts("m")[0].duration_sec < 60  # type: ignore[operator]


def test_F44_a_clock_set_back_between_runners_gives_no_more_time(workshop: Workshop) -> None:  # noqa: N802  as above
    """What the measurement has waited already counts."""
    asked = begun_long_ago(workshop, timeout="1h", shift_sec=2 * HOUR, waited_sec=HOUR)

    ran = workshop.resume(asked.root)

    assert [one.status for one in ran.attempts("m")] == ["TIMEOUT"]


def test_a_machine_that_was_started_anew_goes_by_the_time_of_day(workshop: Workshop) -> None:
    """It has no other clock that went on meanwhile."""
    asked = begun_long_ago(workshop, timeout="1h", shift_sec=-2 * HOUR, boot_id="another")

    ran = workshop.resume(asked.root)

    assert [one.status for one in ran.attempts("m")] == ["TIMEOUT"]


def test_after_a_new_start_with_an_early_clock_no_time_has_passed(workshop: Workshop) -> None:
    """A measurement has its own time at most once more."""
    asked = begun_long_ago(workshop, timeout="5s", shift_sec=TEN_YEARS, boot_id="another")

    ran = workshop.resume(asked.root)

    assert [one.status for one in ran.attempts("m")] == ["TIMEOUT"]
