"""Ask operators about attempts, outside of a runner: what core scriptlets do when they are run by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.operators.assignments import Assignment, Operator, Sighting
from orchestrator.states import AttemptState
from orchestrator.store.database import Database


@contextmanager
def _operator(database: Database, operator_key: str) -> Iterator[Operator]:
    """Give the operator of a key for a while; raise `UsageError` where the run has none."""
    from orchestrator.operators.registry import operator_for, wiring_of  # noqa: PLC0415  slow, and runners ask operators

    operators = wiring_of(database).operators
    wired = operators.get(operator_key)
    if wired is None or wired.is_idle:
        hint = did_you_mean(operator_key, operators) or f"there are: {', '.join(operators)}"
        raise UsageError(f"there is no operator {operator_key!r} in this run", hint=hint, code="MS214")
    operator = operator_for(wired)
    try:
        yield operator
    finally:
        operator.close()


def _whole(assignment: Assignment) -> Assignment:
    """Give an attempt with the variables that were recorded."""
    env = {name: value for name, value in assignment.work.get("env", {}).items() if value is not None}
    return dataclasses.replace(assignment, env=env)


def submit_by_hand(database: Database, assignment: Assignment) -> Sighting:
    """Begin an attempt, or see that it was begun; raise `UsageError` where that cannot be done here."""
    hidden = sorted(name for name, value in assignment.work.get("env", {}).items() if value is None)
    if hidden:
        hint = "let the runner go on with the run: it reads the secret"
        raise UsageError(f"{', '.join(hidden)} of {assignment.task_id} holds a secret, which is not kept", hint=hint)
    with _operator(database, assignment.operator_key) as operator:
        (sighting,) = operator.submit([_whole(assignment)])
    if sighting.state is AttemptState.FAILED_INIT:
        raise UsageError(f"{assignment.operator_key} did not begin the attempt: {sighting.note}")
    return sighting


def look_by_hand(database: Database, assignments: Sequence[Assignment]) -> dict[str, Sighting]:
    """Give what operators, each asked once, last say of attempts; those of which they say nothing are left out.

    Nothing is begun, also where the runner has died before it could begin an attempt.
    """
    found: dict[str, Sighting] = {}
    for operator_key, group in groupby(sorted(assignments, key=_key_of), _key_of):
        with _operator(database, operator_key) as operator:
            sightings = (*operator.adopt([_whole(one) for one in group]), *operator.look())
        found.update((one.attempt_id, one) for one in sightings)
    return found


def cancel_by_hand(database: Database, assignment: Assignment) -> None:
    """Ask the operator of an attempt to end it."""
    with _operator(database, assignment.operator_key) as operator:
        list(operator.adopt([_whole(assignment)]))
        operator.cancel([assignment.attempt_id])


def _key_of(assignment: Assignment) -> str:
    return assignment.operator_key
