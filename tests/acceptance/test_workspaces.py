"""The workspaces that ship are begun, stepped, answered, looped and exported by the command line alone."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import ROOT, Ended, Project

WIRED = "operator_wiring_autodiscovery_validation"
DEMOS = ["battery_screening", "catalyst_human_in_loop", "coatings_active_learning", "thin_film_lab"]
SNAPSHOT = ["history.jsonl", "metadata.json", "operators.yaml"]
HEADER = "attempt_id attempt_index status operator_type external_id artifact_path config_hash operator_key"
WAITING = 5

MIXED = """\
from orchestrator import Campaign, GateTask, Task, Workflow


class Mixed(Campaign):
    def plan(self, state):
        if state:
            return None
        compute = Task(task_id="compute", command="expr 6 '*' 7 > n.txt", env={"MATTERSTACK_OPERATOR": "hpc.default"})
        gate = GateTask(task_id="gate", message="Is it plausible?", dependencies=["compute"])
        after = Task(task_id="after", command="true", operator_key="local.default", dependencies=["gate"])
        return Workflow([compute, gate, after])

    def analyze(self, state, results):
        return {"n": int(results["compute"].files["n.txt"].read_text()), "said": results["gate"].data}


def get_campaign():
    return Mixed()
"""
OPERATORS = """\
# Given by hand, and deleted afterwards
operators:
  local.default: { kind: local }
  hpc.default: { kind: hpc, backend: { type: local } }
  human.default: { kind: human }
"""
KEYS = {"compute": "hpc.default", "gate": "human.default", "after": "local.default"}


@pytest.fixture(name="shipped")
def _shipped(project: Project) -> Project:
    """Make a copy of the checkout, as far as workspaces need it."""
    for name in ("orchestrator", "scriptlets", "workspaces"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return project


def init(project: Project, *words: str) -> str:
    """Open a run and give its id."""
    ended = project.call("init", *words)
    assert re.fullmatch(r"Run initialized: [0-9]{8}_[0-9]{6}_[0-9a-f]{8}\n", ended.stdout), ended.stderr
    return ended.stdout.split()[-1]


def step_on(project: Project, run_id: str, until: str = "", **words: str) -> Ended:
    """Step until the run has ended, or a task of this name is asked for; the first step has further words."""
    more = [part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
    for _ in range(200):
        ended = project.call("step", run_id, *more)
        if ended.status != WAITING or (until and until in ended.answer["reason"]):
            return ended
        more = []
        time.sleep(0.1)
    pytest.fail(f"run {run_id} goes on and on: {ended.stdout}")


def state(project: Project, run_id: str) -> Any:  # noqa: ANN401  any JSON value
    """Give the state in which a campaign ended."""
    return project.call("ctx", "get", run_id, "campaign.state_v1").answer


def bundle_of(project: Project, run_id: str) -> dict[str, Any]:
    """Export the evidence of a run and give its bundle."""
    ended = project.call("export-evidence", run_id)
    assert ended.status == 0, ended.stderr
    found: dict[str, Any] = json.loads((evidence(project, run_id) / "bundle.json").read_text(encoding="utf-8"))
    return found


def run_root(project: Project, run_id: str) -> Path:
    """Give the directory of a run."""
    (found,) = (folder for folder in project.run_folders() if folder.name == run_id)
    return found


def evidence(project: Project, run_id: str) -> Path:
    """Give the folder of the evidence of a run."""
    return run_root(project, run_id) / "evidence"


def effective(project: Project, run_id: str) -> dict[str, str]:
    """Give where the kept wiring of a run came from, as its metadata say."""
    path = run_root(project, run_id) / "operators_snapshot" / "metadata.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["effective"]
    return found


def names_in(folder: Path) -> list[str]:
    """Give the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def recorded_keys(project: Project, run_id: str) -> dict[str, str]:
    """Give the operator that each routed task was carried out by, as the state file has it."""
    query = "SELECT task_id, operator_key FROM task_attempts JOIN tasks ON position = task_position WHERE parent >= 0"
    with closing(sqlite3.connect(run_root(project, run_id) / "state.sqlite")) as connection:
        return dict(connection.execute(query))


def assert_wiring_is_told(project: Project, run_id: str, source: str) -> None:
    """Check that explain, bundle, report and the copies of the evidence tell of one wiring and its source."""
    kept = effective(project, run_id)
    line = f"Operator wiring: source={source} sha256={kept['sha256']} snapshot=operators_snapshot/operators.yaml"
    assert line in project.call("explain", run_id).stdout
    told = bundle_of(project, run_id)["data"]["operator_wiring"]
    assert (told["source"], told["sha256"], told["snapshot_relpath"]) == (
        source,
        kept["sha256"],
        "operators_snapshot/operators.yaml",
    )
    copies = evidence(project, run_id) / "operators_snapshot"
    assert names_in(copies) == names_in(run_root(project, run_id) / "operators_snapshot") == SNAPSHOT
    report = (evidence(project, run_id) / "report.md").read_text(encoding="utf-8")
    _, _, copied = report.partition("Copied into this evidence export under:\n")
    assert [name for name in SNAPSHOT if f"`operators_snapshot/{name}`" not in copied] == []


def test_a_wiring_is_found_kept_and_exported_without_any_flag(shipped: Project) -> None:
    """By init, step and export-evidence, from the file beside main.py."""
    given = shipped.folder / "workspaces" / WIRED / "operators.yaml"

    run_id = init(shipped, WIRED)
    ended = step_on(shipped, run_id)

    assert (ended.status, state(shipped, run_id)) == (0, 1.7476)
    assert (run_root(shipped, run_id) / "operators_snapshot" / "operators.yaml").read_bytes() == given.read_bytes()
    assert effective(shipped, run_id)["resolved_path"] == str(given)
    assert recorded_keys(shipped, run_id) == {"compute": "hpc.default", "check": "local.default"}
    assert_wiring_is_told(shipped, run_id, "WORKSPACE_DEFAULT")


def test_a_wiring_that_was_given_once_routes_to_the_end(project: Project) -> None:
    """With the file deleted after the first step, by what the run has kept; keys stand wherever attempts do."""
    project.write("workspaces/mixed/main.py", MIXED)
    given = project.write("ours.yaml", OPERATORS)
    run_id = init(project, "mixed")
    step_on(project, run_id, until="gate", operators_config="ours.yaml")
    given.unlink()
    attempts = project.call("attempts", run_id, "gate")
    response = run_root(project, run_id) / attempts.table[0]["artifact_path"] / "response.json"
    response.write_text(json.dumps({"status": "COMPLETED", "data": {"approved": True}}))

    ended = step_on(project, run_id)

    assert (ended.status, state(project, run_id)) == (0, {"n": 42, "said": {"approved": True}})
    assert attempts.stdout.startswith(HEADER.replace(" ", "\t"))
    assert attempts.table[0]["operator_key"] == "human.default"
    assert recorded_keys(project, run_id) == KEYS
    tasks = bundle_of(project, run_id)["data"]["tasks"]
    assert {name: tasks[name]["operator_key"] for name in KEYS} == KEYS
    assert {name: tasks[name]["current_attempt"]["operator_key"] for name in KEYS} == KEYS
    assert {name: [one["operator_key"] for one in tasks[name]["attempts"]] for name in KEYS} == {
        name: [key] for name, key in KEYS.items()
    }
    assert_wiring_is_told(project, run_id, "CLI_OVERRIDE")


@pytest.mark.parametrize("name", DEMOS)
def test_a_demonstration_can_be_begun_by_slug_and_by_path(name: str, shipped: Project) -> None:
    """It begins with its own wiring, and nothing is driven yet."""
    by_slug, by_path = init(shipped, f"demos/{name}"), init(shipped, f"workspaces/demos/{name}")

    for run_id in (by_slug, by_path):
        assert effective(shipped, run_id)["source"] == "WORKSPACE_DEFAULT"
        assert set(shipped.call("status", run_id, "--json").answer["task_counts"]) == {"PENDING"}
        assert run_root(shipped, run_id).parent.parent == shipped.folder / "workspaces" / "demos" / name


def test_candidates_that_cannot_be_used_are_left_out(shipped: Project) -> None:
    """They failed, with the reason, and the others are ranked."""
    run_id = init(shipped, "demos/battery_screening")

    ended = shipped.call("loop", run_id)

    assert ended.answer["outputs"] == {"best": "NCA", "wh_per_kg": 742.0, "ranked": 8, "left_out": 2}
    tasks = bundle_of(shipped, run_id)["data"]["tasks"]
    assert {name for name, task in tasks.items() if task["status"] == "FAILED"} == {"screen[LNP]", "screen[LXO]"}
    assert tasks["screen[LFP]"]["operator_key"] == "hpc.default"
    assert "5.1 V is above the 4.5 V" in shipped.call("attempts", run_id, "screen[LNP]").table[0]["reason"]


def test_films_are_measured_and_held_against_the_simulation(shipped: Project) -> None:
    """Thin ones deviate, by what grew at once."""
    run_id = init(shipped, "demos/thin_film_lab")

    ended = step_on(shipped, run_id)

    assert ended.answer["outputs"]["flagged"] == ["thin", "gate"]
    assert ended.answer["outputs"]["onset_nm"] == pytest.approx(25.0, abs=0.5)
    tasks = bundle_of(shipped, run_id)["data"]["tasks"]
    assert {task["operator_key"] for name, task in tasks.items() if name.startswith("measure[")} == {
        "experiment.furnace"
    }


def test_the_closed_loop_comes_near_the_optimum_in_few_depositions(shipped: Project) -> None:
    """Of 1681 points it looks at a few, and stops by itself."""
    run_id = init(shipped, "demos/coatings_active_learning")

    ended = shipped.call("loop", run_id)

    found = state(shipped, run_id)
    best = max(one["merit_gpa"] for one in found["measured"])
    assert (ended.status, found["points"], len(found["measured"]) <= 15) == (0, [], True)
    assert best == pytest.approx(19.62, abs=0.05)
    assert found["promise_gpa"] <= 0.02


@pytest.mark.parametrize(
    ("answer", "refined"),
    [
        (("--approve",), ["Pt", "Pd", "Cu"]),
        (("--data", '{"approved": true, "metals": ["Cu"]}'), ["Cu"]),
        (("--reject",), []),
    ],
)
def test_a_person_says_what_is_refined(answer: tuple[str, ...], refined: list[str], shipped: Project) -> None:
    """The campaign waits for the answer without a runner, and comes to a good end also where it is no."""
    run_id = init(shipped, "demos/catalyst_human_in_loop")
    waiting = step_on(shipped, run_id, until="approve")

    assert waiting.answer["reason"] == "waiting for approve"
    assert "approve waits for an answer" in shipped.call("explain", run_id).stdout
    assert shipped.call("respond", run_id, "approve", *answer).status == 0
    assert shipped.call("loop", run_id).status == 0

    assert sorted(state(shipped, run_id)["refined"]) == sorted(refined)
    assert recorded_keys(shipped, run_id)["approve"] == "human.default"
    assert bundle_of(shipped, run_id)["data"]["tasks"]["approve"]["attempts"]
