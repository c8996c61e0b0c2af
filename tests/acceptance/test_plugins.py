"""A distribution that brings an operator works with the program as it is: wired, run, kept, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.program import ROOT, Project
from tests.unit.wiring.distribution import install

RECIPE = "workspace: lab\nsteps:\n  - { name: mix, type: shell, run: 'false', operator_key: hpc.default }\n"
WIRING = "operators:\n  hpc.default: { kind: hpc, backend: { type: robot, arm: left } }\n"


@pytest.fixture(name="env")
def _env(project: Project, tmp_path: Path) -> Mapping[str, str]:
    """Install the distribution where the program finds it, and wire a recipe's key to it."""
    install(tmp_path / "site-packages")
    project.write("recipe.yaml", RECIPE)
    project.write("workspaces/lab/operators.yaml", WIRING)
    return {"PYTHONPATH": f"{ROOT}:{tmp_path / 'site-packages'}"}


def test_a_step_is_carried_out_by_it(project: Project, env: Mapping[str, str]) -> None:
    """What it answers is the step's, and the run has kept what the key meant."""
    project.write("matterstack.toml", '[plugins]\nallow = ["lab-robots==1.2"]\n')

    ended = project.call("run", "recipe.yaml", env=env)

    assert (ended.status, ended.answer["ctx_keys"]) == (0, ["robot.arm_v1"])
    (attempt,) = project.call("attempts", "@last", "mix", env=env).table
    assert (attempt["operator_key"], attempt["external_id"]) == ("hpc.default", "left")


def test_H7_a_run_that_was_opened_with_it_goes_on_where_it_is_allowed(project: Project, env: Mapping[str, str]) -> None:
    """Elsewhere it is refused, and nothing has changed."""
    project.write("matterstack.toml", '[plugins]\nallow = ["lab-robots==1.2"]\n')
    assert project.call("init", "recipe.yaml", env=env).status == 0
    project.write("matterstack.toml", "")

    refused = project.call("loop", "@last", env=env)
    project.write("matterstack.toml", '[plugins]\nallow = ["lab-robots==1.2"]\n')

    assert (refused.status, '[plugins] allow = ["lab-robots==1.2"]' in refused.stderr) == (3, True)
    assert project.call("loop", "@last", env=env).status == 0
