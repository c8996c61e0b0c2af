"""``resume`` goes on with a run, and tells its result as ``run`` does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.program import Answer
from tests.unit.workshop import Ran, Workshop, python, recipe, shell

Call = Callable[..., Answer]

TEXT = recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "Interrupt"))


@pytest.fixture(name="stopped")
def _stopped(workshop: Workshop) -> Ran:
    return workshop.run(TEXT)


@pytest.mark.parametrize("words", [(), ("@last",)])
def test_the_last_run_goes_on(call: Call, stopped: Ran, words: tuple[str, ...]) -> None:
    """It is meant where none is named."""
    answer = call("resume", *words)

    assert (answer.status, answer.json["run_id"]) == (0, stopped.root.name)
    assert ", going on after 1)" in answer.stderr


def test_a_run_goes_on_by_its_path(call: Call, stopped: Ran, workshop: Workshop) -> None:
    """Relative to where the command is typed."""
    assert call("resume", str(stopped.root.relative_to(workshop.folder)), "--quiet").stderr == ""


def test_a_change_is_refused_with_the_command_that_accepts_it(call: Call, stopped: Ran, workshop: Workshop) -> None:
    """The command can be typed as it is shown."""
    workshop.write("r.yaml", TEXT.replace("a.x_v1: 1", "a.x_v1: 2"))

    refused = call("resume")

    assert (refused.status, refused.json["exit_code"]) == (2, 2)
    assert f"'matterstack resume {stopped.root.name} --accept-recipe-change'" in refused.stderr
    assert call("resume", stopped.root.name, "--accept-recipe-change").status == 0


@pytest.mark.parametrize(("step", "words"), [("exit 1", ("retry", "RUN")), ("date >&2", ("rerun", "RUN", "a"))])
def test_a_change_of_a_run_that_ended_is_refused_with_a_command_that_goes_on(
    call: Call, workshop: Workshop, step: str, words: tuple[str, ...]
) -> None:
    """A run that has ended is not resumed."""
    ran = workshop.run(recipe(shell("a", step, "stdout: free")))
    workshop.write("r.yaml", recipe(shell("a", "true", "stdout: free")))
    typed = [ran.root.name if word == "RUN" else word for word in words]

    refused = call(*typed)

    shown = " ".join(typed).removesuffix(" a")
    assert f"'matterstack {shown}{' TASK' * (len(words) > 2)} --accept-recipe-change'" in refused.stderr
    assert call(*typed, "--accept-recipe-change").status == 0


def test_a_run_that_has_ended_cannot_go_on(call: Call, workshop: Workshop) -> None:
    """Its state is told."""
    workshop.run(recipe(python("a")))

    answer = call("resume")

    assert answer.status == 2
    assert "is COMPLETED; there is nothing to resume" in answer.json["reason"]
