"""Go through every state of an attempt without carrying it out: what ``dry_run: true`` asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from orchestrator.operators.assignments import Assignment, Sighting, one_by_one
from orchestrator.operators.staging import stage
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

_NEXT = {AttemptState.SUBMITTED: AttemptState.QUEUED, AttemptState.QUEUED: AttemptState.RUNNING}


class Rehearsal:
    """Makes the directory of each attempt, says that it is queued, runs and has ended, and runs nothing."""

    looks_every_sec = 0.0

    def __init__(self) -> None:
        self._states: dict[str, AttemptState] = {}

    def fileno(self) -> int | None:
        """Give nothing: there is always something to see."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Make the directories."""
        return one_by_one(assignments, self._begun)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Go on as if they had just been submitted."""
        self._states.update((one.attempt_id, AttemptState.SUBMITTED) for one in assignments)
        return iter(())

    def look(self) -> Iterator[Sighting]:
        """Give the next state of each."""
        for attempt_id, before in list(self._states.items()):
            if (state := _NEXT.get(before)) is not None:
                self._states[attempt_id] = state
                yield Sighting(attempt_id=attempt_id, state=state)
                continue
            del self._states[attempt_id]
            done = Done(attempt_id=attempt_id, exit_code=0, is_rehearsed=True)
            yield Sighting(attempt_id=attempt_id, state=AttemptState.COLLECTING, done=done)

    def cancel(self, attempts: Collection[str]) -> None:
        """Let them come to their end, which is near."""

    def close(self) -> None:
        """Hold nothing."""

    def _begun(self, assignment: Assignment) -> Sighting:
        told = stage(assignment)
        self._states[assignment.attempt_id] = AttemptState.SUBMITTED
        external_id = f"dry-{assignment.attempt_id}"
        return Sighting(
            attempt_id=assignment.attempt_id,
            state=AttemptState.SUBMITTED,
            external_id=external_id,
            operator_data={**told, "dry_run": True},
        )
