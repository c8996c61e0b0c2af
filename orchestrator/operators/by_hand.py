"""Ask an operator about one attempt, outside of a runner: what core scriptlets do when they are run by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.operators.assignments import Assignment, Operator, Sighting
from orchestrator.states import AttemptState
from orchestrator.store.database import Database
from orchestrator.workers.calls import Done


@contextmanager
def _operator(database: Database, assignment: Assignment) -> Iterator[tuple[Operator, Assignment]]:
    """Give the operator of an attempt, and the attempt with the variables that were recorded; raises `UsageError`."""
    from orchestrator.operators.registry import operator_for, wiring_of  # noqa: PLC0415  slow, and runners ask operators

    operators = wiring_of(database).operators
    wired = operators.get(assignment.operator_key)
    if wired is None or wired.is_idle:
        hint = did_you_mean(assignment.operator_key, operators) or f"there are: {', '.join(operators)}"
        raise UsageError(f"there is no operator {assignment.operator_key!r} in this run", hint=hint, code="MS214")
    env = {name: value for name, value in assignment.work.get("env", {}).items() if value is not None}
    operator = operator_for(wired)
    try:
        yield operator, dataclasses.replace(assignment, env=env)
    finally:
        operator.close()


def submit_by_hand(database: Database, assignment: Assignment) -> Sighting:
    """Begin an attempt, or see that it was begun; raise `UsageError` where that cannot be done here."""
    hidden = sorted(name for name, value in assignment.work.get("env", {}).items() if value is None)
    if hidden:
        hint = "let the runner go on with the run: it reads the secret"
        raise UsageError(f"{', '.join(hidden)} of {assignment.task_id} holds a secret, which is not kept", hint=hint)
    with _operator(database, assignment) as (operator, whole):
        (sighting,) = operator.submit([whole])
    if sighting.state is AttemptState.FAILED_INIT:
        raise UsageError(f"{assignment.operator_key} did not begin the attempt: {sighting.note}")
    return sighting


def look_by_hand(database: Database, assignment: Assignment) -> tuple[AttemptState | None, Done | None]:
    """Say where an attempt stands, None where nothing changed, and what came of it where it has ended.

    Nothing is begun, also where the runner has died before it could begin the attempt.
    """
    with _operator(database, assignment) as (operator, whole):
        sightings = [*operator.adopt([whole]), *operator.look()]
    return (sightings[-1].state, sightings[-1].done) if sightings else (None, None)


def cancel_by_hand(database: Database, assignment: Assignment) -> None:
    """Ask the operator of an attempt to end it."""
    with _operator(database, assignment) as (operator, whole):
        list(operator.adopt([whole]))
        operator.cancel([whole.attempt_id])
