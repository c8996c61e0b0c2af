"""A crew hands over what waits together, and loses no wish."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from threading import Event

from orchestrator.operators.assignments import Assignment, Sighting
from orchestrator.operators.crew import Crew
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done


class Ledger:
    """An operator that carries nothing out, and keeps what it is asked for."""

    looks_every_sec = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self._ended: list[str] = []

    def fileno(self) -> int | None:
        """Give nothing."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Begin them."""
        self.asked.append(("submit", [one.attempt_id for one in assignments]))
        return iter([Sighting(attempt_id=one.attempt_id, state=AttemptState.RUNNING) for one in assignments])

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Follow them."""
        self.asked.append(("adopt", [one.attempt_id for one in assignments]))
        return iter(())

    def look(self) -> Iterator[Sighting]:
        """Give what was cancelled."""
        while self._ended:
            done = Done(attempt_id=self._ended.pop(0), exit_code=None)
            yield Sighting(attempt_id=done.attempt_id, state=AttemptState.COLLECTING, done=done)

    def cancel(self, attempts: Collection[str]) -> None:
        """End them."""
        self.asked.append(("cancel", list(attempts)))
        self._ended += attempts

    def close(self) -> None:
        """Hold nothing."""


def assignment(attempt_id: str, timeout_sec: float | None = None) -> Assignment:
    """Give an attempt at a task."""
    return Assignment(
        run_root=Path("run"),
        task_id="t",
        attempt_id=attempt_id,
        attempt_index=1,
        operator_key="hpc.default",
        relative_path=attempt_id,
        params={},
        work={"timeout_sec": timeout_sec},
    )


def crew_of(ledger: Ledger) -> Crew:
    """Give a crew whose operators do a round whenever it is asked for sightings."""
    return Crew(lambda _: ledger, lambda: None, has_threads=False)


def test_what_waits_is_handed_over_together() -> None:
    """What was begun before is only to be followed."""
    ledger = Ledger()
    crew = crew_of(ledger)
    crew.hand_over(assignment("a1"))
    crew.hand_over(assignment("a2"), is_begun=True)
    crew.hand_over(assignment("a3"))

    told = crew.sightings()

    assert ledger.asked == [("adopt", ["a2"]), ("submit", ["a1", "a3"])]
    assert [one.attempt_id for one in told] == ["a1", "a3"]


def test_what_waits_comes_to_a_thread_together() -> None:
    """However soon that looks."""
    ledger, woken = Ledger(), Event()
    crew = Crew(lambda _: ledger, woken.set, has_threads=True)
    names = [f"a{number}" for number in range(200)]
    for name in names:
        crew.hand_over(assignment(name))
        time.sleep(0.0001)

    crew.send()

    assert woken.wait(60.0)
    crew.close()
    assert ledger.asked == [("submit", names)]


def test_what_is_ended_at_once_says_why() -> None:
    """The wish is carried out after the attempt was begun."""
    crew = crew_of(Ledger())
    crew.hand_over(assignment("a1"))
    crew.cancel(["a1"], "interrupted")

    told = crew.sightings()

    assert [one.done and one.done.fault for one in told] == [None, "interrupted"]
    assert list(crew.assignments) == []


def test_what_takes_too_long_is_ended_once() -> None:
    """Together with whatever else is overdue."""
    ledger = Ledger()
    crew = crew_of(ledger)
    for attempt_id in ("a1", "a2"):
        crew.hand_over(assignment(attempt_id, timeout_sec=5.0), timeout_sec=0.0, is_begun=True)

    told = crew.sightings()

    assert ledger.asked[1:] == [("cancel", ["a1", "a2"])]
    assert [one.done and one.done.fault for one in told] == ["timeout after 5s"] * 2
