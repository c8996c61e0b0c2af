"""A recipe runs from Python: the context comes back, and a failed step is an exception."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator import run_recipe
from orchestrator.errors import InvalidFileError, StepFailedError, UsageError
from tests.acceptance.program import Project
from tests.seed_skeleton import SKELETON

RECIPE = """\
test_meta:
  test_id: NUM-002
  tester: user
  description: Compute median
steps:
  - idx: 1
    name: compute_median
    type: python
    module: scriptlets.steps.compute_median
    function: ComputeMedian
    args:
      src: numbers.csv
    success:
      ctx_has_keys:
        - numbers.median_v1
"""


@pytest.fixture(name="seeded")
def _seeded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a project with the first users' step and recipe, and go there."""
    project.write("scriptlets/steps/compute_median.py", SKELETON)
    project.write("median.yaml", RECIPE)
    project.write("numbers.csv", "3\n1\n\n2\n")
    monkeypatch.chdir(project.folder)
    return project


def test_the_first_recipe_runs(seeded: Project) -> None:
    """The step and the recipe of the first users work from the command line, whoever captures their output."""
    ended = seeded.call("run", "median.yaml")

    assert (ended.status, ended.answer["ctx_keys"]) == (0, ["numbers.median_v1"])
    assert seeded.call("ctx", "get", "@last", "numbers.median_v1").answer == {"median": 2.0, "count": 3}
    assert "[resource] duration_sec=" in seeded.call("attempts", "@last", "compute_median", "--stderr").stdout


def test_the_first_step_fails_as_it_says(seeded: Project) -> None:
    """An error that the step answers itself is the reason of the failure."""
    (seeded.folder / "numbers.csv").unlink()

    ended = seeded.call("run", "median.yaml")

    assert (ended.status, ended.answer["reason"]) == (1, "the exit code is 1, not 0: file not found")


@pytest.mark.parametrize("isolation", ["inline", "worker"])
def test_the_context_comes_back(seeded: Project, isolation: str) -> None:
    """A run from Python gives the values that its steps wrote."""
    ctx = run_recipe("median.yaml", isolation=isolation)

    assert ctx.get("numbers.median_v1") == {"median": 2.0, "count": 3}
    assert list(ctx.to_dict()) == ["numbers.median_v1"]


def test_inputs_are_given(seeded: Project) -> None:
    """Inputs keep their Python types."""
    recipe = RECIPE.replace("steps:", "inputs: { file: { type: path } }\nsteps:").replace(
        "numbers.csv", '"${{ inputs.file }}"'
    )
    seeded.write("median.yaml", recipe)
    seeded.write("other.csv", "10\n")

    ctx = run_recipe(Path("median.yaml"), {"file": "other.csv"})

    assert ctx.get("numbers.median_v1") == {"median": 10.0, "count": 1}


def test_runs_are_kept_where_asked(seeded: Project, tmp_path: Path) -> None:
    """The folder of the workspaces can be given."""
    run_recipe("median.yaml", workspaces_dir=tmp_path / "elsewhere")

    assert len(list((tmp_path / "elsewhere").glob("median/runs/*/state.sqlite"))) == 1
    assert not (seeded.folder / "workspaces").exists()


def test_a_failed_step_is_an_exception(seeded: Project) -> None:
    """The error names the step and the reason and says where the records are."""
    (seeded.folder / "numbers.csv").unlink()

    with pytest.raises(StepFailedError) as caught:
        run_recipe("median.yaml")

    assert str(caught.value) == "compute_median: the exit code is 1, not 0: file not found"
    assert (caught.value.step, caught.value.exit_status) == ("compute_median", 1)
    assert caught.value.hint.startswith(f"see {seeded.folder}/workspaces/median/runs/")


def test_a_bad_recipe_is_an_exception(seeded: Project) -> None:
    """All faults of the file are in it."""
    seeded.write("median.yaml", RECIPE.replace("function", "functoin").replace("args", "argss"))

    with pytest.raises(InvalidFileError) as caught:
        run_recipe("median.yaml")

    assert [(problem.code, problem.place.line if problem.place else 0) for problem in caught.value.problems] == [
        ("MS101", 10),
        ("MS101", 11),
    ]


def test_an_unknown_input_is_an_exception(seeded: Project) -> None:
    """A name that the recipe does not declare is refused."""
    with pytest.raises(UsageError, match="the recipe has no input 'file'"):
        run_recipe("median.yaml", {"file": "other.csv"})


def test_nothing_of_the_process_is_changed(seeded: Project) -> None:
    """The directory and the environment are as before, after a success and after a failure."""
    before = (Path.cwd(), dict(os.environ))
    run_recipe("median.yaml")
    (seeded.folder / "numbers.csv").unlink()
    with pytest.raises(StepFailedError):
        run_recipe("median.yaml")

    assert (Path.cwd(), dict(os.environ)) == before
