"""A question that fewer people may answer than must approve is refused before anything has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.operators.asking import current_user
from orchestrator.operators.quorum import shortfall
from orchestrator.plan import Selection
from tests.unit.workshop import Workshop, recipe, shell

TWO = "{name: review, type: human, instructions: 'Is it so?', approvals: 2}"


def wire(workshop: Workshop, rules: str) -> Path:
    """Say who may answer."""
    return workshop.write(
        "workspaces/r/operators.yaml", f"operators: {{ human.default: {{ kind: human, {rules} }} }}\n"
    )


@pytest.mark.parametrize(
    ("approvals", "approvers", "starter", "wrong"),
    [
        (1, [], "ada", ""),
        (2, ["ada", "bob"], "", ""),
        (1, ["ada", "bob"], "ada", ""),
        (2, ["ada"], "", "approvals: 2, and as many as 1 may answer (ada)"),
        (2, ["ada", "ada"], "", "approvals: 2, and as many as 1 may answer (ada)"),
        (
            1,
            ["ada"],
            "ada",
            "approvals: 1, and as many as 0 may answer (nobody); ada starts the run, and somebody else must answer",
        ),
    ],
)
def test_as_many_people_must_be_able_to_answer_as_are_asked(
    approvals: int, approvers: list[str], starter: str, wrong: str
) -> None:
    """Each counts once, and who starts the run may be none of them."""
    assert shortfall(approvals, approvers, starter) == wrong


def test_a_question_that_can_never_end_begins_no_run(workshop: Workshop) -> None:
    """The place is that of the number."""
    path = wire(workshop, "approvers: [ada]")

    (problem,) = workshop.refused(recipe(shell("a", "date"), TWO))

    where = path.relative_to(workshop.folder)
    wrong = "approvals: 2, and as many as 1 may answer (ada)"
    assert problem == f"r.yaml:3:69: error[MS219]: human.default in {where}: {wrong}"


def test_who_starts_the_run_does_not_count(workshop: Workshop) -> None:
    """Where somebody else must answer."""
    wire(workshop, f"approvers: [{current_user()}, ada], separation_of_duty: true")

    (problem,) = workshop.refused(recipe(TWO))

    assert f"may answer (ada); {current_user()} starts the run" in problem


def test_a_step_that_is_left_out_asks_nobody(workshop: Workshop) -> None:
    """So it refuses nothing."""
    wire(workshop, "approvers: [ada]")

    ran = workshop.run(recipe(shell("a", "date", "stdout: free"), TWO), selection=Selection(skip=("review",)))

    assert ran.states == ["COMPLETED", "SKIPPED"]


def test_a_task_that_is_planned_later_is_not_begun(workshop: Workshop) -> None:
    """Nobody could know before."""
    wire(workshop, "approvers: [ada]")
    later = f"{{name: later, type: workflow, tasks: [{TWO}]}}"

    ran = workshop.run(recipe(later), inline=False)

    assert [attempt.status for attempt in ran.attempts("review")] == ["FAILED_INIT"]
    assert "approvals: 2, and as many as 1 may answer (ada)" in ran.tasks["review"].status_reason


def test_a_folder_that_cannot_be_shared_begins_no_run(workshop: Workshop) -> None:
    """With what to type."""
    wire(workshop, f"shared_folder: {workshop.folder}/none")

    with pytest.raises(UsageError, match="no such file or directory") as caught:
        workshop.run(recipe(TWO))
    assert (caught.value.code, "chmod 3770" in caught.value.hint) == ("MS603", True)
