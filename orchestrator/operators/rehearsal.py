"""Go through every state of an attempt without carrying it out: what ``dry_run: true`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.operators.assignments import Assignment, Sighting
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

    def submit(self, assignment: Assignment) -> Sighting:
        """Make the directory."""
        told = stage(assignment)
        self._states[assignment.attempt_id] = AttemptState.SUBMITTED
        external_id = f"dry-{assignment.attempt_id}"
        return Sighting(
            attempt_id=assignment.attempt_id,
            state=AttemptState.SUBMITTED,
            external_id=external_id,
            operator_data={**told, "dry_run": True},
        )

    def look(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Give the next state of each."""
        for assignment in assignments:
            attempt_id = assignment.attempt_id
            state = _NEXT.get(self._states.get(attempt_id, AttemptState.SUBMITTED))
            if state is None:
                self._states.pop(attempt_id, None)
                done = Done(attempt_id=attempt_id, exit_code=0, is_rehearsed=True)
                yield Sighting(attempt_id=attempt_id, state=AttemptState.COLLECTING, done=done)
            else:
                self._states[attempt_id] = state
                yield Sighting(attempt_id=attempt_id, state=state)

    def cancel(self, assignment: Assignment) -> None:
        """Let it come to its end, which is near."""

    def close(self) -> None:
        """Hold nothing."""
