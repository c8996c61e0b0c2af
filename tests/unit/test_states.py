"""Runs, tasks and attempts move only as they may."""

from __future__ import annotations

from enum import StrEnum

import pytest

from orchestrator.states import ENDED_ATTEMPTS, ENDED_RUNS, AttemptState, RunState, TaskState, may_become

OPEN_ATTEMPTS = (
    AttemptState.CREATED,
    AttemptState.SUBMITTING,
    AttemptState.SUBMITTED,
    AttemptState.QUEUED,
    AttemptState.RUNNING,
    AttemptState.WAITING_EXTERNAL,
    AttemptState.UNKNOWN,
    AttemptState.MISSING,
    AttemptState.COLLECTING,
)


@pytest.mark.parametrize(
    ("state", "target"),
    [
        (RunState.PENDING, RunState.RUNNING),
        (RunState.RUNNING, RunState.PAUSED),
        (RunState.PAUSED, RunState.RUNNING),
        (RunState.RUNNING, RunState.COMPLETED),
        (RunState.RUNNING, RunState.FAILED),
        (RunState.PAUSED, RunState.CANCELLED),
        (RunState.RUNNING, RunState.PENDING),
        (RunState.FAILED, RunState.PENDING),
        (TaskState.PENDING, TaskState.RUNNING),
        (TaskState.RUNNING, TaskState.COMPLETED),
        (TaskState.RUNNING, TaskState.WAITING_EXTERNAL),
        (TaskState.WAITING_EXTERNAL, TaskState.COMPLETED),
        (TaskState.PENDING, TaskState.BLOCKED),
        (TaskState.PENDING, TaskState.SKIPPED),
        (TaskState.COMPLETED, TaskState.PENDING),
        (AttemptState.CREATED, AttemptState.SUBMITTING),
        (AttemptState.RUNNING, AttemptState.LOST),
        (AttemptState.UNKNOWN, AttemptState.RUNNING),
    ],
)
def test_legal_moves(state: StrEnum, target: StrEnum) -> None:
    """What happens in a run is allowed."""
    assert may_become(state, target)


@pytest.mark.parametrize(
    ("state", "target"),
    [
        (RunState.COMPLETED, RunState.RUNNING),
        (RunState.PENDING, RunState.PENDING),
        (RunState.PAUSED, RunState.COMPLETED),
        (TaskState.COMPLETED, TaskState.BLOCKED),
        (TaskState.PENDING, TaskState.COMPLETED),
        (TaskState.BLOCKED, TaskState.RUNNING),
        (TaskState.RUNNING, TaskState.SKIPPED),
        (AttemptState.RUNNING, AttemptState.CREATED),
        (RunState.PENDING, TaskState.RUNNING),
        (TaskState.RUNNING, AttemptState.COMPLETED),
    ],
)
def test_illegal_moves(state: StrEnum, target: StrEnum) -> None:
    """Nothing ends twice, skips its middle or turns into another kind."""
    assert not may_become(state, target)


@pytest.mark.parametrize("ended", sorted(ENDED_ATTEMPTS))
def test_an_ended_attempt_never_moves(ended: AttemptState) -> None:
    """The end of an attempt is its end."""
    assert [target for target in AttemptState if may_become(ended, target)] == []


@pytest.mark.parametrize("state", OPEN_ATTEMPTS)
@pytest.mark.parametrize("ended", sorted(ENDED_ATTEMPTS))
def test_an_open_attempt_can_end_in_every_way(state: AttemptState, ended: AttemptState) -> None:
    """From wherever it is, an attempt can come to each of its ends."""
    assert may_become(state, ended)


def test_an_ended_run_goes_on_only_by_becoming_pending() -> None:
    """Whoever reruns part of a run opens it first."""
    assert {target for run in ENDED_RUNS for target in RunState if may_become(run, target)} == {RunState.PENDING}


def test_every_task_can_be_made_pending() -> None:
    """A rerun starts from any state."""
    assert all(may_become(state, TaskState.PENDING) for state in TaskState)
