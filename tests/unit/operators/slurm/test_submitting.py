"""What Slurm refuses for now waits less where room is made for it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from orchestrator.clock import up_sec
from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.batches import Batch, new_batch
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.sites import Site
from orchestrator.operators.slurm.states import Phase, State
from orchestrator.operators.slurm.submitting import Submissions
from orchestrator.remote.local import LocalTransport
from orchestrator.wiring.model import SlurmBackend
from tests.unit.operators.slurm.attempts import attempt

BACKEND = SlurmBackend(type="slurm", workspace_root="/nowhere")


@pytest.fixture(name="submissions")
def _submissions() -> Submissions:
    way = LocalTransport("here")
    return Submissions(Site(way, BACKEND.workspace_root, "here", Accounts(), let_go=way.close), BACKEND)


def refused(run_root: Path, *names: str) -> Batch:
    """Give a job that Slurm has refused so often that it is not tried again for ever so long."""
    batch = new_batch([attempt(run_root, name) for name in names], BACKEND)
    batch.refusals, batch.not_before, batch.was_sent = 9, math.inf, True
    return batch


@pytest.mark.parametrize(("gone", "due"), [(0, []), (1, [0]), (2, [0]), (3, [0, 1]), (4, [0, 1, 2]), (9, [0, 1, 2])])
def test_S4_jobs_that_leave_the_queue_make_room(  # noqa: N802  a statement
    tmp_path: Path, submissions: Submissions, gone: int, due: list[int]
) -> None:
    """For as many, and for one at least: more would be refused again."""
    submissions.waiting = [refused(tmp_path, "a", "b"), refused(tmp_path, "c"), refused(tmp_path, "d")]

    submissions.make_room(gone)

    assert [number for number, at in enumerate(submissions.times()) if at <= up_sec()] == due


def test_S4_what_was_not_refused_is_sent_when_it_was_to_be(tmp_path: Path, submissions: Submissions) -> None:  # noqa: N802  a statement
    """An operator may be paused."""
    paused, waits = refused(tmp_path, "a"), refused(tmp_path, "b")
    paused.refusals = 0
    submissions.waiting = [paused, waits]

    submissions.make_room(1)

    assert [paused.not_before, waits.not_before <= up_sec()] == [math.inf, True]


def test_S4_the_parts_of_an_array_are_tried_soon(tmp_path: Path, submissions: Submissions) -> None:  # noqa: N802  a statement
    """However often the whole of it was refused: nothing else is there that could make room."""
    whole = refused(tmp_path, "a", "b", "c")
    submissions.waiting = [whole]

    parts = submissions.split(whole)

    assert [len(part.assignments) for part in parts] == [1, 2]
    assert {part.not_before for part in parts} == {whole.not_before}
    assert whole.not_before - up_sec() < 60
    assert submissions.waiting == []


def test_a_job_counts_until_a_look_shows_it_no_more(tmp_path: Path) -> None:
    """Or shows that it has ended."""
    held = Held(assignment=attempt(tmp_path, "a"))
    before = held.is_queued
    held.take_id("7")
    assert (before, held.stage, held.is_queued) == (False, Stage.THERE, True)

    held.saw([], math.inf)
    assert not held.is_queued

    held.follow("8")
    assert held.is_queued
    held.ended_as = State(word="COMPLETED", phase=Phase.ENDED)
    assert not held.is_queued
