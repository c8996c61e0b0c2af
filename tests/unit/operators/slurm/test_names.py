"""Jobs have names that no other job has, and that say whose they are."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.operators.slurm.names import MOST_LETTERS, job_name, of_turn


def name(task_id: str = "relax", index: int = 1, attempts: tuple[str, ...] = ("a",), turn: int = 0) -> str:
    """Give the name of a job of one run."""
    run_id = "20261128_061932_0badcafe"
    return job_name(run_id=run_id, task_id=task_id, attempt_index=index, attempts=attempts, turn=turn)


def test_a_name_says_whose_job_it_is() -> None:
    """Run, task and attempt can be read in the queue."""
    assert re.fullmatch(r"ms-0badcafe-relax-1-[a-z2-7]{10}", name())
    assert name() == name()


def test_what_differs_in_anything_has_another_name() -> None:
    """Also where nothing of that can be read in it."""
    names = [
        name(),
        name("relax[1]"),
        name("relax[2]"),
        name("relax 1 "),
        name(index=2),
        name(attempts=("b",)),
        name(attempts=("a", "b")),
        name(turn=1),
        *(name("x" * 200 + str(number)) for number in range(1000)),
    ]

    assert len(set(names)) == len(names)


@given(st.text(), st.integers(0, 10**6))
def test_a_name_is_made_of_few_letters(task_id: str, index: int) -> None:
    """Whatever the task is called."""
    assert re.fullmatch(r"ms-[A-Za-z0-9._-]+", name(task_id, index))
    assert len(name(task_id, index)) <= MOST_LETTERS


def test_each_continuation_has_files_of_its_own() -> None:
    """The first one has those without a number."""
    assert [of_turn("claim", turn) for turn in (0, 1, 2)] == ["claim", "claim.1", "claim.2"]
