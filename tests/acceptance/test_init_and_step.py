"""A run is opened by one command and driven by others, which need no flag: it keeps the wiring that it began with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import Ended, Project, finish, make_project, until

SLUG = "operator_wiring_autodiscovery_validation"
RECIPE = """\
schema: matterstack/recipe/v1
steps:
  - { name: compute, type: shell, run: [date], stdout: free, save: { compute.n_v1: "3" } }
  - name: gate
    type: human
    operator_key: human.review
    instructions: Is ${{ ctx.compute.n_v1 }} plausible?
  - { name: after, type: shell, run: [date], stdout: free, when: ctx.gate.response_v1.approved }
"""
WIRING = """\
# The lab's own
operators:
  local.default: { kind: local }
  human.review: { kind: human }
  experiment.default: { kind: experiment }
  hpc.default: { kind: hpc, backend: { type: local, dry_run: true } }
"""
NAMES = ["history.jsonl", "metadata.json", "operators.yaml"]


@pytest.fixture(name="lab")
def _lab(project: Project) -> Project:
    """Make a project with a workspace that has a recipe and no wiring of its own."""
    project.write(f"workspaces/{SLUG}/recipe.yaml", RECIPE)
    return project


def init(project: Project, *words: str) -> str:
    """Open a run of the workspace and give its id."""
    ended = project.call("init", SLUG, *words)
    assert ended.status == 0, ended.stderr
    assert re.fullmatch(r"Run initialized: [0-9]{8}_[0-9]{6}_[0-9a-f]{8}\n", ended.stdout)
    return ended.stdout.split()[-1]


def run_root(project: Project, run_id: str) -> Path:
    """Give the directory of a run."""
    return project.folder / "workspaces" / SLUG / "runs" / run_id


def snapshot(project: Project, run_id: str) -> dict[str, str]:
    """Give the files of the wiring that a run has kept."""
    folder = run_root(project, run_id) / "operators_snapshot"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def effective(project: Project, run_id: str) -> dict[str, Any]:
    """Give which wiring is in force for a run, and where it came from."""
    found: dict[str, Any] = json.loads(snapshot(project, run_id)["metadata.json"])["effective"]
    return found


def answer_by_file(project: Project, run_id: str) -> None:
    """Answer the gate as another program would, in the directory that the attempt names."""
    (attempt,) = project.call("attempts", run_id, "gate").table
    assert attempt["operator_key"] == "human.review"
    response = run_root(project, run_id) / attempt["artifact_path"] / "response.json"
    response.write_text(json.dumps({"status": "COMPLETED", "data": {"approved": True}}))


def step_to_the_end(project: Project, run_id: str) -> Ended:
    """Drive a run by steps, without any flag, and answer its gate in between."""
    first = project.call("step", run_id)
    assert first.status == 5, first.stderr
    answer_by_file(project, run_id)
    return project.call("step", run_id)


def test_the_wiring_is_kept_when_a_run_is_opened(lab: Project) -> None:
    """Byte for byte, with where it came from, before anything is driven."""
    lab.write("ours.yaml", WIRING)

    run_id = init(lab, "--operators-config", "ours.yaml")

    kept = snapshot(lab, run_id)
    assert (sorted(kept), kept["operators.yaml"]) == (NAMES, WIRING)
    assert effective(lab, run_id)["source"] == "CLI_OVERRIDE"
    assert json.loads(kept["history.jsonl"])["event"] == "WIRING_PERSISTED"
    assert lab.call("status", run_id, "--json").answer["task_counts"] == {"PENDING": 3}


def test_steps_need_no_flag_when_the_file_is_gone(lab: Project) -> None:
    """The gate is asked by the operator of the kept wiring, and the run comes to its end."""
    given = lab.write("ours.yaml", WIRING)
    run_id = init(lab, "--operators-config", "ours.yaml")
    given.unlink()

    ended = step_to_the_end(lab, run_id)

    assert (ended.status, ended.answer["status"]) == (0, "ok")
    assert effective(lab, run_id)["source"] == "CLI_OVERRIDE"
    assert (
        f"Operator wiring: source=CLI_OVERRIDE sha256={effective(lab, run_id)['sha256']} snapshot="
        in lab.call("explain", run_id).stdout
    )


def test_the_default_of_a_workspace_is_found_without_any_flag(lab: Project) -> None:
    """By init, and then by loop from what the run has kept."""
    lab.write(f"workspaces/{SLUG}/operators.yaml", WIRING)
    run_id = init(lab)
    (lab.folder / "workspaces" / SLUG / "operators.yaml").unlink()
    loop = lab.start("loop", run_id)
    until(lambda: list(run_root(lab, run_id).glob("tasks/gate/attempts/[!.]*/manifest.json")))

    answer_by_file(lab, run_id)

    assert finish(loop).status == 0
    assert effective(lab, run_id)["source"] == "WORKSPACE_DEFAULT"


def test_a_run_is_opened_from_elsewhere(lab: Project, tmp_path: Path) -> None:
    """With the folder of all workspaces named, and a workspace by its path."""
    lab.write(f"workspaces/{SLUG}/operators.yaml", WIRING)
    elsewhere = make_project(tmp_path / "elsewhere")
    words = (str(lab.folder / "workspaces" / SLUG), "--workspaces-dir", str(lab.folder / "workspaces"))

    ended = elsewhere.call("init", *words)

    assert (ended.status, len(lab.run_folders()), elsewhere.run_folders()) == (0, 1, [])


def test_a_key_that_nobody_wired_opens_no_run(lab: Project) -> None:
    """Standard output stays empty, and the error has its place."""
    ended = lab.call("init", SLUG)

    assert (ended.status, ended.stdout, "recipe.yaml:6:" in ended.stderr) == (3, "", True)
    assert lab.run_folders() == []


def test_inputs_and_selection_are_those_of_the_run(lab: Project) -> None:
    """As with run, they are given once."""
    lab.write(f"workspaces/{SLUG}/operators.yaml", WIRING)
    run_id = init(lab, "--only", "compute")

    ended = lab.call("loop", run_id)

    states = [task["status"] for task in lab.call("status", run_id, "--json").answer["tasks"]]
    assert (ended.status, states) == (0, ["COMPLETED", "SKIPPED", "SKIPPED"])
