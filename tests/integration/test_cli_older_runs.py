"""Every command that reads, on runs that MatterStack 0.2.x made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.program import Project
from tests.legacy import RUNS, change, put_run

versions = pytest.mark.parametrize("version", [1, 2, 3, 4])
COLUMNS = "attempt_id attempt_index status operator_type external_id artifact_path config_hash operator_key"


@pytest.fixture(name="root")
def _root(project: Project, version: int) -> Path:
    """Put a run of that version into the project."""
    return put_run(project.folder / "workspaces" / "legacy_demo" / "runs", version)


def state(root: Path) -> dict[str, bytes]:
    """Give what the files of a run hold."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@versions
def test_status_shows_where_the_tasks_stand(project: Project, root: Path, version: int) -> None:
    """And leaves a copy of the file beside the one that it made ours."""
    document = project.call("status", "--json").answer

    assert document["status"] == "COMPLETED"
    assert document["task_counts"] == {"COMPLETED": 3, "FAILED": 1}
    assert document["recipe"] == "main.py"
    assert (root / f"state.sqlite.v{version}.bak").exists()


@versions
def test_attempts_has_the_columns_it_always_had(project: Project, root: Path) -> None:
    """With the key by which each was routed, and the exit status from the attempt's own file."""
    ended = project.call("attempts", root.name, "relax_ni")

    (attempt,) = ended.table
    assert ended.stdout.split("\n")[0].split("\t")[:8] == COLUMNS.split()
    assert (attempt["operator_key"], attempt["exit_code"]) == ("hpc.default", "3")
    assert (root / attempt["artifact_path"] / "manifest.json").exists()


@pytest.mark.parametrize("version", [3])
def test_attempts_tells_of_the_configuration(project: Project, root: Path) -> None:
    """Its hash is that which the attempt's snapshot names."""
    (attempt,) = project.call("attempts", root.name, "relax_cu").table

    snapshot = root / attempt["artifact_path"] / "config_snapshot" / "manifest.json"
    assert attempt["config_hash"] == json.loads(snapshot.read_text(encoding="utf-8"))["combined_hash"]


@versions
def test_logs_are_found_in_the_folders_of_the_attempts(project: Project, root: Path) -> None:
    """In those of schema 1 they lie elsewhere than in those of today."""
    assert project.call("logs").stdout == "relax_cu: relaxed\nrelax_ni: oops\nreport: done\n"
    assert project.call("attempts", root.name, "relax_ni", "--stderr").stdout == "oops\n"


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("place", ["../outside", "/etc", "operators/../../outside"])
def test_no_file_outside_of_the_run_is_read(project: Project, root: Path, place: str) -> None:
    """Whatever the records name."""
    for folder in (root.parent / "outside", root.parent / "outside" / "report"):
        folder.mkdir()
        (folder / "stdout.log").write_text("of others\n", encoding="utf-8")
    table = "external_runs" if root.name == RUNS[1] else "task_attempts"
    change(root / "state.sqlite", f"UPDATE {table} SET relative_path = '{place}'")  # noqa: S608

    assert "of others" not in project.call("logs", root.name).stdout


@versions
def test_explain_says_that_nothing_is_left_to_do(project: Project, root: Path) -> None:
    """It names what failed, and where to read more."""
    ended = project.call("explain", root.name)

    assert "1 task failed, as allow_failure allows: relax_ni" in ended.stdout
    assert f"nothing is left to do; read what its tasks printed with: matterstack logs {root.name}" in ended.stdout


@pytest.mark.parametrize("version", [3])
def test_explain_of_a_run_that_was_left_half_way_says_how_it_goes_on(project: Project, root: Path) -> None:
    """By the same command as any other."""
    change(root / "state.sqlite", "UPDATE runs SET status = 'RUNNING'")

    assert f"matterstack resume {root.name}" in project.call("explain", root.name).stdout
    assert f"matterstack resume {root.name}" in project.call("status", root.name).stderr


WAITING = """
UPDATE runs SET status = 'RUNNING';
UPDATE tasks SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review';
"""
OPEN_QUESTION = {
    1: "UPDATE external_runs SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review'",
    3: "UPDATE task_attempts SET status = 'WAITING_EXTERNAL', ended_at = NULL WHERE task_id = 'review'",
}


@pytest.mark.parametrize("version", [1, 3])
def test_a_question_that_was_left_open_can_be_seen_and_answered(project: Project, root: Path, version: int) -> None:
    """The answer lies where the earlier program looks for it, too."""
    change(root / "state.sqlite", WAITING)
    change(root / "state.sqlite", OPEN_QUESTION[version])
    (response,) = root.glob("**/response.json")
    response.unlink()

    seen = project.call("respond", root.name, "review")
    answered = project.call("respond", root.name, "review", "--approve")

    assert seen.stdout.startswith("# Human Task: review")
    assert (answered.status, response.name in answered.stderr) == (0, True)
    assert json.loads(response.read_text(encoding="utf-8"))["status"] == "COMPLETED"


@versions
def test_runs_lists_it_and_changes_nothing(project: Project, root: Path) -> None:
    """A list is no reason to touch every run that there is."""
    before = state(root)

    (row,) = project.call("runs").table

    assert (row["run_id"], row["status"], row["tasks"]) == (root.name, "COMPLETED", "4/4")
    assert state(root) == before


@pytest.mark.parametrize("version", [1])
def test_another_run_beside_it_changes_nothing_of_it(project: Project, root: Path) -> None:
    """Also where that looks for what was left unfinished."""
    change(root / "state.sqlite", "UPDATE runs SET status = 'RUNNING'")
    before = state(root)
    recipe = "schema: matterstack/recipe/v1\nworkspace: legacy_demo\nsteps: [{ name: a, type: shell, run: [date] }]\n"
    project.write("recipe.yaml", recipe.replace("run: [date]", "run: [date], stdout: free"))

    ended = project.call("run", "recipe.yaml")

    assert ended.answer["status"] == "ok"
    assert RUNS[1] in ended.stderr
    assert state(root) == before


@pytest.mark.parametrize("version", [1])
def test_a_report_shows_what_its_attempts_printed(project: Project, root: Path) -> None:
    """As of any run."""
    ended = project.call("report", root.name)

    assert "oops" in Path(ended.stdout.strip()).read_text(encoding="utf-8")


@pytest.mark.parametrize("version", [1])
def test_it_has_no_secrets_that_could_leak(project: Project, root: Path) -> None:
    """No recipe declares any."""
    assert project.call("check-leaks", root.name).stdout == f"{root.name}: no leak of 0 secrets\n"


@pytest.mark.parametrize("version", [3])
def test_a_later_version_is_refused(project: Project, root: Path) -> None:
    """F23: every command leaves the file byte for byte as it is."""
    change(root / "state.sqlite", "UPDATE schema_info SET value = '6'")
    before = state(root)

    for words in (("status",), ("attempts", "@last", "report"), ("logs",), ("explain", "@last"), ("retry",)):
        assert "error[MS502]" in project.call(*words).stderr

    assert state(root) == before
