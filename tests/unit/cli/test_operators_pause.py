"""A key that nobody has wired is seldom what somebody means who lets an operator rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.operators.pausing import hold_of
from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop, recipe, shell

Call = Callable[..., Answer]

OK = 'echo \'{"status": "ok"}\''


def wire(workshop: Workshop) -> None:
    """Wire a cluster in the workspace."""
    backend = "{ type: slurm, workspace_root: /s, dry_run: true }"
    workshop.write("workspaces/r/operators.yaml", f"operators: {{ hpc.alpha: {{ kind: hpc, backend: {backend} }} }}")


def test_a_key_that_a_run_does_not_have_is_refused(call: Call, workshop: Workshop) -> None:
    """With the one that was meant."""
    wire(workshop)
    ran = workshop.run(recipe(shell("a", OK)))

    answer = call("operators", "pause", "hpc.alhpa", "--run", "@last")

    assert (answer.status, answer.stdout, hold_of(ran.root, "hpc.alhpa")) == (2, "", None)
    assert "there is no operator 'hpc.alhpa'" in answer.stderr
    assert "did you mean 'hpc.alpha'?" in answer.stderr


def test_a_key_that_a_run_has_rests_for_it(call: Call, workshop: Workshop) -> None:
    """Nothing else is said."""
    wire(workshop)
    ran = workshop.run(recipe(shell("a", OK)))

    answer = call("operators", "pause", "hpc.alpha", "--run", "@last")

    assert (answer.status, answer.stderr) == (0, "")
    assert hold_of(ran.root, "hpc.alpha")


def test_a_key_of_no_workspace_rests_all_the_same(call: Call, workshop: Workshop) -> None:
    """Runs may have been given a file of their own, so it is only told."""
    wire(workshop)

    answer = call("operators", "pause", "hpc.alhpa")

    assert (answer.status, answer.stdout) == (0, "Operator paused: hpc.alhpa\n")
    assert answer.stderr == ("note: no operators.yaml of the workspaces names 'hpc.alhpa'; did you mean 'hpc.alpha'?\n")
    assert hold_of(workshop.folder / "workspaces", "hpc.alhpa")


@pytest.mark.parametrize("key", ["hpc.alpha", "local.default"])
def test_a_key_of_a_workspace_or_of_all_rests_without_a_word(call: Call, workshop: Workshop, key: str) -> None:
    """Some mean something where nobody wired anything."""
    wire(workshop)

    assert call("operators", "pause", key).stderr == ""


def test_a_file_that_cannot_be_read_may_have_named_it(call: Call, workshop: Workshop) -> None:
    """So that is told, too."""
    wire(workshop)
    workshop.write("workspaces/s/operators.yaml", "operators: [")

    assert "names 'hpc.beta' (1 cannot be read); " in call("operators", "pause", "hpc.beta").stderr
