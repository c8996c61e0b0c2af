"""Runs that MatterStack 0.2.x made go on: by the recipe of their records, with their attempts kept as they were."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.store.audit import history_fault
from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from tests.acceptance.program import Ended, Project, finish
from tests.legacy import ATTEMPTS, change, looking, put_run

versions = pytest.mark.parametrize("version", [1, 2, 3, 4])
first_and_third = pytest.mark.parametrize("version", [1, 3])

WIRING = """\
operators:
  hpc.default: { kind: hpc, backend: { type: local } }
  human.default: { kind: human }
"""
# How a run, and an attempt of it, is set to not having ended.
LEFT = "UPDATE runs SET status = 'RUNNING'; UPDATE tasks SET status = 'PENDING' WHERE task_id = 'report';"
NEVER_MADE = "DELETE FROM {attempts} WHERE task_id = 'report';"
STILL_OPEN = (
    "UPDATE tasks SET status = 'RUNNING' WHERE task_id = 'report';"
    " UPDATE {attempts} SET status = 'SUBMITTED', external_id = '4711' WHERE task_id = 'report';"
)
WAITING = (
    "UPDATE tasks SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review';"
    " UPDATE {attempts} SET status = 'WAITING_EXTERNAL' WHERE task_id = 'review';"
)
UNTIMED = "UPDATE task_attempts SET ended_at = NULL WHERE status IN ('SUBMITTED', 'WAITING_EXTERNAL');"


@pytest.fixture(name="root")
def _root(project: Project, version: int) -> Path:
    """Put a run of that version into the project, whose workspace says what operators mean."""
    project.write("workspaces/legacy_demo/operators.yaml", WIRING)
    return put_run(project.folder / "workspaces" / "legacy_demo" / "runs", version)


def leave(root: Path, version: int, *statements: str) -> None:
    """Let a run stand as an interrupted runner of that version left it."""
    sql = " ".join([LEFT, *statements, UNTIMED if version > 1 else ""])
    change(root / "state.sqlite", sql.format(attempts=ATTEMPTS[version]))


def state(root: Path) -> dict[str, bytes]:
    """Give what the files of a run hold."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def attempts(project: Project, root: Path, task_id: str) -> list[tuple[str, str]]:
    """Give where the attempts at a task stand, and why."""
    return [(row["status"], row["reason"]) for row in project.call("attempts", root.name, task_id).table]


def statuses(project: Project, root: Path) -> dict[str, str]:
    """Give where the tasks stand."""
    return {task["task_id"]: task["status"] for task in project.call("status", root.name, "--json").answer["tasks"]}


def happened(root: Path) -> Iterator[str]:
    """Give the kinds of the events of a run whose records hold."""
    with reading(root) as database:
        assert history_fault(database) == ""
        yield from (event.kind for event in iterate_events(database))


def answered(project: Project, root: Path) -> Ended:
    """Answer the question of a run as the user of the test."""
    return project.call("respond", root.name, "review", "--approve")


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a minute at most."""
    for _ in range(300):
        if is_so():
            return
        time.sleep(0.2)
    pytest.fail("it never came about")


@versions
def test_a_task_runs_once_more(project: Project, root: Path) -> None:
    """Its next attempt lies where those of today lie, and counts on from those that it had."""
    before = state(root)

    ended = project.call("rerun", root.name, "relax_cu")

    assert (ended.status, ended.answer["status"]) == (0, "ok")
    first, second = project.call("attempts", root.name, "relax_cu").table
    assert (first["attempt_index"], second["attempt_index"], second["status"]) == ("1", "2", "COMPLETED")
    folder = root / "tasks" / "relax_cu" / "attempts" / second["attempt_id"]
    assert (folder / "results.txt").read_text(encoding="utf-8") == "relaxed\n"
    assert {
        name: content for name, content in state(root).items() if name in before and "state.sqlite" not in name
    } == {name: content for name, content in before.items() if "state.sqlite" not in name}


@first_and_third
def test_the_recipe_of_its_records_is_kept_with_it(project: Project, root: Path) -> None:
    """An event tells of it, once, and everything that follows is in the same history."""
    for _ in range(2):
        project.call("rerun", root.name, "report")

    kinds = list(happened(root))
    assert kinds[0] == "run.migrated"
    assert kinds.count("run.inherited") == 1
    text = (root / "recipe.yaml").read_text(encoding="utf-8")
    assert 'run: "echo relaxed > results.txt; echo relaxed"' in text
    assert 'instructions: "Approve Cu?"' in text
    assert 'resources: {"cores": 2, "memory_gb": 4.0, "time_limit": 600}' in text


@first_and_third
def test_what_depends_on_a_task_runs_again_with_it(project: Project, root: Path) -> None:
    """People are asked anew, and after their answer the rest follows."""
    running = project.start("rerun", root.name, "relax_cu", "--recursive")

    until(lambda: answered(project, root).status == 0)

    assert finish(running).status == 0
    assert [len(attempts(project, root, name)) for name in ("relax_cu", "relax_ni", "review", "report")] == [2, 1, 2, 2]


@first_and_third
def test_what_failed_is_tried_again(project: Project, root: Path) -> None:
    """Its failure was allowed, so the run is complete with it as before."""
    ended = project.call("retry", root.name)

    assert ended.answer["status"] == "ok"
    assert [status for status, _ in attempts(project, root, "relax_ni")] == ["FAILED", "FAILED"]
    assert statuses(project, root)["relax_ni"] == "FAILED"


@first_and_third
@pytest.mark.parametrize("words", [("resume",), ("loop",), ("step",)])
def test_a_run_that_was_left_half_way_comes_to_its_end(
    project: Project, root: Path, version: int, words: tuple[str, ...]
) -> None:
    """What was done stays done, also a failure that was allowed; what had not begun is begun."""
    leave(root, version, NEVER_MADE)

    for _ in range(40 if words == ("step",) else 1):
        ended = project.call(*words, root.name)
        if ended.status != 5:
            break

    assert (ended.status, ended.answer["status"]) == (0, "ok")
    assert statuses(project, root) == dict.fromkeys(("relax_cu", "review", "report"), "COMPLETED") | {
        "relax_ni": "FAILED"
    }
    assert [len(attempts(project, root, name)) for name in ("relax_cu", "relax_ni", "review", "report")] == [1, 1, 1, 1]


@first_and_third
def test_an_attempt_of_the_earlier_program_that_had_not_ended_is_lost(
    project: Project, root: Path, version: int
) -> None:
    """Nobody takes its job for a process of ours; the reason names it, and another attempt follows."""
    leave(root, version, STILL_OPEN)

    assert project.call("resume", root.name).status == 0

    lost = "MatterStack 0.2 had it as 4711 when its runner stopped; what became of it is not known"
    assert attempts(project, root, "report") == [("LOST", lost), ("COMPLETED", "")]
    assert "attempt.submitted" in set(happened(root))


@first_and_third
def test_a_question_that_was_left_open_stays_open(project: Project, root: Path, version: int) -> None:
    """It is not asked again, and whatever the answer is, it is the end of the attempt that asked."""
    leave(root, version, NEVER_MADE, WAITING)
    (response,) = root.glob("**/response.json")
    response.unlink()

    waiting = project.call("step", root.name)
    answer = answered(project, root)
    ended = project.call("resume", root.name)

    assert (waiting.status, answer.status, ended.status) == (5, 0, 0)
    assert attempts(project, root, "review") == [("COMPLETED", "")]
    assert statuses(project, root)["report"] == "COMPLETED"


@first_and_third
def test_an_answer_that_nobody_had_read_counts(project: Project, root: Path, version: int) -> None:
    """It was written before the run went on."""
    leave(root, version, NEVER_MADE, WAITING)

    assert project.call("resume", root.name).status == 0
    assert attempts(project, root, "review") == [("COMPLETED", "")]
    assert json.loads(project.call("ctx", "get", root.name, "review.response_v1").stdout)["approved"] is True


@first_and_third
def test_a_task_that_a_crash_left_running_stands_where_its_attempt_stands(
    project: Project, root: Path, version: int
) -> None:
    """It is not done a second time."""
    leave(root, version, "UPDATE tasks SET status = 'RUNNING' WHERE task_id IN ('report', 'relax_cu');")

    assert project.call("resume", root.name).status == 0
    assert len(attempts(project, root, "report")) == len(attempts(project, root, "relax_cu")) == 1


@pytest.mark.parametrize("version", [3])
def test_a_cancelled_one_is_cancelled_by_its_recipe(project: Project, root: Path, version: int) -> None:
    """As any run that nobody drives; its question is withdrawn."""
    leave(root, version, NEVER_MADE, WAITING)
    (response,) = root.glob("**/response.json")
    response.unlink()

    assert project.call("cancel", root.name).status == 0
    assert [status for status, _ in attempts(project, root, "review")] == ["CANCELLED"]
    assert "run.cancelled" in set(happened(root))


@pytest.mark.parametrize("version", [3])
def test_tasks_may_have_been_recorded_in_any_order(project: Project, root: Path, version: int) -> None:
    """A step of the recipe comes after those that it waits for, and every attempt stays with its task."""
    change(root / "state.sqlite", "UPDATE tasks SET rowid = 0 WHERE task_id = 'report'")
    leave(root, version, STILL_OPEN)

    assert project.call("resume", root.name).status == 0
    assert [status for status, _ in attempts(project, root, "report")] == ["LOST", "COMPLETED"]
    assert list(statuses(project, root)) == ["relax_cu", "relax_ni", "review", "report"]


@versions
def test_without_its_operator_it_does_not_go_on(project: Project, root: Path) -> None:
    """What is missing is named, with what to do, and nothing is changed."""
    (project.folder / "workspaces" / "legacy_demo" / "operators.yaml").unlink()
    before = state(root)

    ended = project.call("rerun", root.name, "relax_ni")

    assert ended.status == 3
    assert "error[MS214]: there is no operator 'hpc.default' where nobody wired anything" in ended.stderr
    assert "say what it means in operators.yaml of the workspace, or with --operators-config" in ended.stderr
    assert state(root) == before


@pytest.mark.parametrize("version", [3])
def test_the_wiring_is_found_from_where_the_command_is_given(project: Project, root: Path) -> None:
    """Its path begins there, and not where the steps of the run work."""
    (project.folder / "workspaces" / "legacy_demo" / "operators.yaml").unlink()
    project.write("elsewhere/site.yaml", WIRING)

    ended = project.call(
        "rerun", str(root), "report", "--operators-config", "site.yaml", cwd=project.folder / "elsewhere"
    )

    assert (ended.status, "wiring.persisted" in set(happened(root))) == (0, True)


@first_and_third
@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("UPDATE tasks SET command = ' ' WHERE task_id = 'report'", "task 'report' has no command"),
        (
            "UPDATE tasks SET files = '{\"in.json\": \"inputs/in.json\"}' WHERE task_id = 'report'",
            "the file 'inputs/in.json' of task 'report' is not there any more, or not in the project",
        ),
        ("UPDATE tasks SET command = 'echo ${{ a }}' WHERE task_id = 'report'", "no expression is evaluated here"),
        (
            "UPDATE tasks SET task_type = 'ExternalTask' WHERE task_id = 'report'",
            "task 'report' asks an instrument, and nothing says for what",
        ),
        (
            'UPDATE tasks SET env = \'{"MATTERSTACK_OPERATOR": "robot.a"}\'',
            "the kind 'robot' of 'robot.a' is not known",
        ),
    ],
)
def test_what_no_recipe_can_be_made_of_is_refused(project: Project, root: Path, sql: str, cause: str) -> None:
    """The cause is named, and nothing is changed."""
    change(root / "state.sqlite", sql)
    before = state(root)

    ended = project.call("rerun", root.name, "relax_cu")

    assert (ended.status, "error[MS506]" in ended.stderr) == (2, True)
    assert ended.answer["reason"] == f"run {root.name} of MatterStack 0.2 cannot go on: {cause}"
    assert state(root) == before


@first_and_third
def test_a_task_with_a_name_that_steps_cannot_have_is_refused(project: Project, root: Path, version: int) -> None:
    """Such names cannot be folders."""
    for table in ("tasks", ATTEMPTS[version]):
        change(root / "state.sqlite", f"UPDATE {table} SET task_id = 'a/b' WHERE task_id = 'report'")  # noqa: S608

    ended = project.call("rerun", root.name, "relax_cu")

    assert (ended.status, "error[MS506]" in ended.stderr, "'a/b'" in ended.stderr) == (2, True, True)


@pytest.mark.parametrize("version", [3])
def test_a_recipe_of_others_in_its_place_is_left_alone(project: Project, root: Path) -> None:
    """It is not overwritten."""
    (root / "recipe.yaml").write_text("steps: []\n", encoding="utf-8")

    ended = project.call("rerun", root.name, "relax_cu")

    assert (ended.status, "is not the recipe of its records; move it away" in ended.stderr) == (2, True)
    assert (root / "recipe.yaml").read_text(encoding="utf-8") == "steps: []\n"


@pytest.mark.parametrize("version", [4])
def test_files_of_tasks_are_texts_or_lie_in_the_workspace(project: Project, root: Path) -> None:
    """Both come into the directory of the next attempt, with nothing in them evaluated."""
    project.write("workspaces/legacy_demo/inputs/in.json", '{"a": 1}')
    files = json.dumps({"in.json": "inputs/in.json", "note.txt": "as ${{ it }} is\n"})
    change(root / "state.sqlite", f"UPDATE tasks SET files = '{files}' WHERE task_id = 'report'")  # noqa: S608
    change(root / "state.sqlite", "UPDATE tasks SET command = 'cat in.json note.txt' WHERE task_id = 'report'")

    assert project.call("rerun", root.name, "report").status == 0
    assert 'report #2: {"a": 1}as ${{ it }} is' in project.call("logs", root.name).stdout


@pytest.mark.parametrize("version", [4])
def test_a_task_is_routed_as_its_own_key_says(project: Project, root: Path) -> None:
    """The key of the task comes before the variable, and before how it was routed last."""
    project.write(
        "workspaces/legacy_demo/operators.yaml", WIRING + "  hpc.big: { kind: hpc, backend: { type: local } }\n"
    )
    change(root / "state.sqlite", "UPDATE tasks SET operator_key = 'hpc.big' WHERE task_id = 'report'")

    project.call("rerun", root.name, "report")

    assert [row["operator_key"] for row in project.call("attempts", root.name, "report").table] == [
        "hpc.default",
        "hpc.big",
    ]


@pytest.mark.parametrize("version", [3])
def test_a_deleted_task_is_known_by_what_its_attempt_kept(project: Project, root: Path) -> None:
    """It stays deleted while others run again."""
    change(root / "state.sqlite", "DELETE FROM tasks WHERE task_id = 'relax_ni'")

    assert project.call("rerun", root.name, "relax_cu").status == 0
    assert statuses(project, root)["relax_ni"] == "CANCELLED"


@first_and_third
def test_the_tables_of_the_earlier_program_stay(project: Project, root: Path) -> None:
    """Also when the run goes on."""
    project.call("rerun", root.name, "report")

    with looking(root / "state.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM legacy_tasks").fetchone() == (4,)
        assert connection.execute("SELECT count(*) FROM legacy_task_attempts").fetchone() == (4,)


@first_and_third
def test_a_crash_before_the_recipe_was_recorded_is_made_good(project: Project, root: Path, version: int) -> None:
    """What it has left is the same recipe, so the next command goes on with it."""
    project.call("rerun", root.name, "report")
    text = (root / "recipe.yaml").read_bytes()
    shutil.rmtree(root)
    put_run(root.parent, version)
    (root / "recipe.yaml").write_bytes(text)

    assert project.call("rerun", root.name, "report").status == 0
    assert list(happened(root)).count("run.inherited") == 1


@first_and_third
def test_a_cancelled_one_is_revived_and_comes_to_its_end(project: Project, root: Path, version: int) -> None:
    """What was cancelled in it is begun."""
    leave(root, version, NEVER_MADE)
    change(root / "state.sqlite", "UPDATE runs SET status = 'CANCELLED'")

    refused = project.call("rerun", root.name, "report")
    revived = project.call("revive", root.name)
    ended = project.call("loop")

    assert (refused.status, revived.status, ended.status) == (2, 0, 0)
    assert statuses(project, root)["report"] == "COMPLETED"


@pytest.mark.parametrize("version", [3])
def test_a_recipe_that_was_mended_is_taken_over(project: Project, root: Path) -> None:
    """As that of any run: where it is accepted, the changed step runs again."""
    project.call("rerun", root.name, "report")
    recipe = root / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("exit 3", "exit 0"), encoding="utf-8")

    refused = project.call("retry", root.name)
    accepted = project.call("retry", root.name, "--accept-recipe-change")

    assert (refused.status, "error[MS307]" in refused.stderr) == (2, True)
    assert (accepted.status, attempts(project, root, "relax_ni")[-1][0]) == (0, "COMPLETED")
