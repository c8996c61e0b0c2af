"""The evidence of runs that MatterStack 0.2.x made: all that their own told, and the files of their attempts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.acceptance.program import Ended, Project
from tests.legacy import DATA, RUNS, change, put_run

versions = pytest.mark.parametrize("version", [1, 2, 3, 4])
first_and_third = pytest.mark.parametrize("version", [1, 3])

IMAGE = "ubuntu:latest"
LOGS = ("exit_code", "manifest.json", "stderr.log", "stdout.log")
WIRING = """\
operators:
  hpc.default: { kind: hpc, backend: { type: local } }
  human.default: { kind: human }
"""


@pytest.fixture(name="root")
def _root(project: Project, version: int) -> Path:
    """Put a run of that version into the project."""
    return put_run(project.folder / "workspaces" / "legacy_demo" / "runs", version)


def bundle(root: Path) -> Any:  # noqa: ANN401  a JSON document
    """Give the bundle of a run's evidence."""
    return json.loads((root / "evidence" / "bundle.json").read_text(encoding="utf-8"))


def export(project: Project, root: Path, *words: str) -> Ended:
    """Write the evidence of a run."""
    return project.call("export-evidence", root.name, *words)


def lost_keys(before: Any, now: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401  JSON documents
    """Give the places of all keys of an earlier document that a later one does not have."""
    if isinstance(before, list) and isinstance(now, list):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from lost_keys(one, other, f"{place}[{number}]")
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return
    for key, value in before.items():
        if key not in now:
            yield f"{place}.{key}"
        else:
            yield from lost_keys(value, now[key], f"{place}.{key}")


@versions
def test_it_fits_its_schema_and_its_manifest(project: Project, root: Path) -> None:
    """As that of any run, by the tools of others alone."""
    assert export(project, root).status == 0

    schema = json.loads((root / "evidence/schemas/evidence-bundle-1.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(bundle(root))) == []
    checked = subprocess.run(
        ["sha256sum", "-c", "--quiet", "manifest-sha256.txt"], cwd=root / "evidence", check=False, timeout=60
    )
    assert checked.returncode == 0


@first_and_third
def test_every_key_of_its_own_evidence_is_there(project: Project, root: Path, version: int) -> None:
    """However deep it lies; what it called artifacts by task is a list of all files."""
    export(project, root)

    before = json.loads((DATA / f"v{version}" / RUNS[version] / "evidence/bundle.json").read_text(encoding="utf-8"))
    now = bundle(root)
    assert {file["task_id"] for file in now["artifacts"]} == set(before.pop("artifacts"))
    assert list(lost_keys(before, now)) == []


@first_and_third
def test_its_values_are_those_of_its_own_evidence(project: Project, root: Path, version: int) -> None:
    """Image, command, status, operator and counts of every task."""
    export(project, root)

    before = json.loads((DATA / f"v{version}" / RUNS[version] / "evidence/bundle.json").read_text(encoding="utf-8"))
    now = bundle(root)
    names = ("image", "status", "operator_type", "external_id")
    for task_id, task in before["data"]["tasks"].items():
        assert {name: now["data"]["tasks"][task_id][name] for name in names} == {name: task[name] for name in names}
    assert before["task_counts"].items() <= now["task_counts"].items()
    assert (now["run_status"], now["is_complete"], now["tags"]) == ("COMPLETED", True, [])


@versions
def test_tasks_have_image_command_and_key(project: Project, root: Path) -> None:
    """The key follows from the operator's type where none was recorded."""
    export(project, root)

    tasks = bundle(root)["data"]["tasks"]
    assert {task["image"] for task in tasks.values()} == {IMAGE}
    assert tasks["relax_ni"]["command"] == "echo oops >&2; exit 3"
    assert "matterstack.core.gate" in tasks["review"]["command"]
    assert [tasks[name]["operator_key"] for name in ("relax_cu", "review")] == ["hpc.default", "human.default"]
    assert tasks["review"]["results"]["output_data"] == {"approved": True, "by": "reviewer"}


@versions
def test_the_files_of_attempts_are_found(project: Project, root: Path) -> None:
    """Where each version has put them, also those of an attempt that failed."""
    export(project, root)

    files = {task_id: set[str]() for task_id in ("relax_cu", "relax_ni", "review", "report")}
    for artifact in bundle(root)["artifacts"]:
        assert artifact["state"] == "kept"
        if not artifact["name"].startswith("config_snapshot/"):
            files[artifact["task_id"]].add(artifact["name"])
    assert files == {
        "relax_cu": {*LOGS, "results.txt"},
        "relax_ni": set(LOGS),
        "review": {"instructions.md", "manifest.json", "response.json", "schema.json"},
        "report": set(LOGS),
    }


@first_and_third
def test_a_file_that_is_gone_is_missed(project: Project, root: Path) -> None:
    """Its operator had recorded its name."""
    for path in root.rglob("results.txt"):
        path.unlink()

    ended = export(project, root)

    assert (ended.status, "error[MS507]" in ended.stderr) == (4, True)
    assert [file["name"] for file in bundle(root)["artifacts"] if file["state"] == "missing"] == ["results.txt"]


@first_and_third
def test_its_own_evidence_is_kept_beside(project: Project, root: Path, version: int) -> None:
    """A second export replaces the first, and not that."""
    for _ in range(2):
        assert export(project, root).status == 0

    kept = (root / "evidence-0.2" / "bundle.json").read_bytes()
    assert kept == (DATA / f"v{version}" / RUNS[version] / "evidence/bundle.json").read_bytes()


@first_and_third
def test_it_says_the_same_each_time(project: Project, root: Path) -> None:
    """Also the first time, when the file of the run is brought up to date."""
    export(project, root)
    first = (root / "evidence/manifest-sha256.txt").read_bytes()
    export(project, root, "--output", "elsewhere")

    assert (project.folder / "elsewhere/manifest-sha256.txt").read_bytes() == first


@first_and_third
def test_it_tells_of_what_was_done_since(project: Project, root: Path) -> None:
    """Both attempts, the wiring and the recipe of its records."""
    project.write("workspaces/legacy_demo/operators.yaml", WIRING)
    project.call("rerun", root.name, "relax_cu")

    assert export(project, root).status == 0

    document = bundle(root)
    task = document["data"]["tasks"]["relax_cu"]
    assert [attempt["attempt_index"] for attempt in task["attempts"]] == [1, 2]
    assert (task["image"], task["command"]) == (IMAGE, "echo relaxed > results.txt; echo relaxed")
    assert document["data"]["operator_wiring"]["source"] == "WORKSPACE_DEFAULT"
    assert document["data"]["recipe"]["state"] == "kept"
    assert (root / "evidence/recipe.yaml").read_bytes() == (root / "recipe.yaml").read_bytes()


@first_and_third
@pytest.mark.parametrize("name", ["../../../../outside", "/outside"])
def test_no_name_in_its_records_leads_out_of_the_evidence(
    project: Project, root: Path, version: int, name: str
) -> None:
    """Such files are refused, and nothing is written outside."""
    for table in ("tasks", "external_runs" if version == 1 else "task_attempts"):
        change(root / "state.sqlite", f"UPDATE {table} SET task_id = '{name}' WHERE task_id = 'report'")  # noqa: S608

    ended = export(project, root, "--output", "a/b/c/evidence")

    artifacts = json.loads((project.folder / "a/b/c/evidence/bundle.json").read_bytes())["artifacts"]
    assert ended.status == 4
    assert {file["state"] for file in artifacts if file["task_id"] == name} == {"refused"}
    assert not list(project.folder.rglob("*outside*"))
