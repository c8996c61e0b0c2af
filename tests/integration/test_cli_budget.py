"""A budget of core-hours, from the plan to the run that goes on when it was raised."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.program import Project

OPERATORS = "operators: { hpc.dev: { kind: hpc, max_concurrent: 9, backend: { type: local } } }\n"
RECIPE = """\
schema: matterstack/recipe/v1
budget: { core_hours: 1.001 }
defaults: { resources: { cores: 2, time_limit: 30m } }
steps:
  - name: list
    type: shell
    run: [echo, '{"status": "ok", "outputs": {"list.names_v1": ["a", "b", "c"]}}']
  - name: relax
    type: shell
    operator_key: hpc.dev
    foreach: ${{ ctx.list.names_v1 }}
    run: sleep 2.5
    stdout: free
"""


@pytest.fixture(name="site")
def _site(project: Project) -> Project:
    project.write("recipe.yaml", RECIPE)
    project.write("workspaces/recipe/operators.yaml", OPERATORS)
    return project


def test_a_run_stops_at_its_budget_and_goes_on_with_more(site: Project) -> None:
    """The command that the reason gives is the one that works; what was done is not done again."""
    assert "0 core-hours, not counting relax; the budget is 1.001" in site.call("plan", "recipe.yaml").stderr

    first = site.call("run", "recipe.yaml", "--keep-going")

    (run,) = site.run_folders()
    command = f"matterstack retry {run.name} --accept-recipe-change"
    assert first.status == 1
    assert "error[MS310]: relax[b]: it asks for 1 core-hours, and 0.00" in first.stderr
    assert f"raise budget.core_hours in recipe.yaml, then: {command}" in first.stderr

    site.write("recipe.yaml", RECIPE.replace("core_hours: 1.001", "core_hours: 4"))
    again = site.call(*command.split()[1:])

    assert (again.status, again.answer["status"]) == (0, "ok")
    status = json.loads(site.call("status", "--json").stdout)
    attempts = {task["task_id"]: task["attempts"] for task in status["tasks"]}
    assert attempts == {"list": 1, "relax": 0, "relax[a]": 1, "relax[b]": 2, "relax[c]": 2}
    assert status["core_hours"]["budget"] == 4.0
    assert 0 < status["core_hours"]["spent"] < 0.1


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_what_a_budget_cannot_allow_is_refused_before_the_run(site: Project, command: str) -> None:
    """Each command shows the place, and nothing is begun."""
    site.write("recipe.yaml", RECIPE.replace("${{ ctx.list.names_v1 }}", "[1, 2, 3]"))

    ended = site.call(command, "recipe.yaml")

    assert ended.status == 3
    assert "recipe.yaml:2:23: error[MS217]: the steps ask for at least 3 core-hours" in ended.stderr
    assert site.run_folders() == []


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_step_without_a_limit_is_refused_before_the_run(site: Project, command: str) -> None:
    """Its cost is not known."""
    site.write("recipe.yaml", RECIPE.replace(", time_limit: 30m", ""))

    ended = site.call(command, "recipe.yaml")

    assert (ended.status, "recipe.yaml:10:" in ended.stderr, "error[MS218]" in ended.stderr) == (3, True, True)
