"""``matterstack run`` and ``resume``: what is run, what is answered, and what is refused."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.acceptance.program import COMMAND, Project, finish, read_pipe

NOTE = """\
import os
import signal
from pathlib import Path

from orchestrator import BaseScriptlet

class Note(BaseScriptlet):
    def work(self, ctx, params):
        if Path("deadly").exists() and params["step"] == "die":
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        with Path("notes.txt").open("a") as file:
            file.write(f"{params['step']}\\n")
        if Path("broken").exists() and params["step"] == "two":
            raise ValueError("broken")
        return {f"note.{params['step']}_v1": params.get("value", 0)}
"""

RECIPE = """\
schema: matterstack/recipe/v1
inputs:
  value: { type: number, default: 5 }
steps:
  - { name: one, type: python, module: ./note.py, args: { step: one, value: "${{ inputs.value }}" } }
  - { name: two, type: python, module: ./note.py, args: { step: two, value: "${{ ctx.note.one_v1 + 1 }}" } }
  - { name: three, type: python, module: ./note.py, args: { step: three, value: "${{ ctx.note.two_v1 + 1 }}" } }
"""

ONE = """\
steps:
  - name: one
    type: shell
    run: |
      echo '{"status": "ok"}'
"""

FULL = pytest.param(
    "2>/dev/full", marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
)

# The first to come holds the door until somebody writes into "go"; whoever comes later passes by.
DOOR = """\
steps:
  - name: door
    type: shell
    run: |
      if mkdir first 2>/dev/null; then echo here > ready; cat go > /dev/null; fi
      echo '{"status": "ok"}'
"""

# The second step kills the runner as long as there is a file called "deadly".
DEADLY = """\
schema: matterstack/recipe/v1
steps:
  - { name: one, type: python, module: ./note.py, args: { step: one } }
  - { name: die, type: python, module: ./note.py, args: { step: die } }
  - { name: three, type: python, module: ./note.py, args: { step: three } }
"""


@pytest.fixture(name="noting")
def _noting(project: Project) -> Project:
    """Make a project with a recipe whose three steps note that they ran."""
    project.write("note.py", NOTE)
    project.write("recipe.yaml", RECIPE)
    return project


@pytest.fixture(name="dead")
def _dead(noting: Project) -> Project:
    """Make a project whose run was killed in its second step, which would not kill again."""
    noting.write("recipe.yaml", DEADLY)
    noting.write("deadly", "")
    assert noting.call("run", "recipe.yaml").status == -9
    (noting.folder / "deadly").unlink()
    return noting


def notes(project: Project) -> list[str]:
    """Give the names of the steps that ran, in their order."""
    path = project.folder / "notes.txt"
    return path.read_text().split() if path.exists() else []


def states(project: Project) -> list[str]:
    """Give the states of the tasks of the last run."""
    return [row["status"] for row in project.call("status").table]


def test_success_is_one_line(noting: Project) -> None:
    """A piped run answers with one JSON line that says what is in the context and where the run is."""
    ended = noting.call("run", "recipe.yaml")

    (run_folder,) = noting.run_folders()
    assert ended.status == 0
    assert ended.answer == {
        "status": "ok",
        "ctx_keys": ["note.one_v1", "note.three_v1", "note.two_v1"],
        "run_id": run_folder.name,
        "run_root": str(run_folder),
    }


def test_the_log_has_a_line_for_each_step(noting: Project) -> None:
    """People see on standard error which recipe runs, what became of each step, and the sum."""
    lines = noting.call("run", "recipe.yaml").stderr.splitlines()

    patterns = [
        r"recipe\.yaml  run \d{8}_\d{6}_[0-9a-f]{8}  \(3 steps\)",
        r" ok      1 one +\d+\.\d\ds  note\.one_v1",
        r" ok      2 two +\d+\.\d\ds  note\.two_v1",
        r" ok      3 three +\d+\.\d\ds  note\.three_v1",
        r"completed: 3 ok in \d+\.\d\ds   workspaces/recipe/runs/\d{8}_\d{6}_[0-9a-f]{8}",
    ]
    assert [pattern for pattern, line in zip(patterns, lines, strict=True) if not re.fullmatch(pattern, line)] == []


def test_failure_is_one_line(noting: Project) -> None:
    """A failed run names the step and the reason, and gives up what depends on it."""
    noting.write("broken", "")

    ended = noting.call("run", "recipe.yaml")

    assert (ended.status, ended.answer["status"]) == (1, "error")
    assert [ended.answer[name] for name in ("reason", "exit_code", "step", "ctx_keys")] == [
        "the exit code is 1, not 0: broken",
        1,
        "two",
        ["note.one_v1"],
    ]
    assert states(noting) == ["COMPLETED", "FAILED", "BLOCKED"]


def test_a_failed_run_is_followed_by_a_fresh_one(noting: Project) -> None:
    """What came to its end, well or badly, is not gone on with."""
    noting.write("broken", "")
    noting.call("run", "recipe.yaml")
    (noting.folder / "broken").unlink()

    ended = noting.call("run", "recipe.yaml")

    assert (ended.status, len(noting.run_folders())) == (0, 2)


def test_quiet_says_nothing_but_the_answer(noting: Project) -> None:
    """With -q only the result is left."""
    ended = noting.call("run", "-q", "recipe.yaml")

    assert (ended.answer["status"], ended.stderr) == ("ok", "")


def test_results_come_as_a_table(noting: Project) -> None:
    """With --table the values are shown instead of the JSON line."""
    ended = noting.call("run", "recipe.yaml", "--table")

    assert ended.stdout.splitlines()[2:5] == [
        "note.one_v1    5",
        "note.three_v1  7",
        "note.two_v1    6",
    ]


def test_a_recipe_comes_from_standard_input(noting: Project) -> None:
    """A dash reads the recipe from a pipe; its relative paths start from the current directory."""
    ended = noting.call("run", "-", stdin=RECIPE)

    assert (ended.status, notes(noting)) == (0, ["one", "two", "three"])


def test_faults_in_standard_input_have_a_place(noting: Project) -> None:
    """A recipe without a name is called by where it came from."""
    ended = noting.call("run", "-", stdin=RECIPE.replace("module: ./note.py", "modul: ./note.py", 1))

    assert ended.status == 3
    assert "<stdin>:5:32: error[MS101]: unknown key 'modul'" in ended.stderr


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_inputs_are_set(noting: Project, isolation: str) -> None:
    """A value given for an input is read as its type, wherever the steps run."""
    noting.call("run", "recipe.yaml", "--set", "value=10", "--isolation", isolation)

    assert noting.call("ctx", "get", "@last", "note.three_v1").answer == 12


def test_steps_are_selected(noting: Project) -> None:
    """Only what is asked for runs; the rest counts as skipped."""
    noting.call("run", "recipe.yaml", "--only", "one,two", "--skip", "two")

    assert notes(noting) == ["one"]
    assert states(noting) == ["COMPLETED", "SKIPPED", "SKIPPED"]


def test_a_run_starts_in_the_middle_on_the_last_context(noting: Project) -> None:
    """--resume-from takes the values of the steps before from the last run."""
    noting.call("run", "recipe.yaml", "--set", "value=10")

    ended = noting.call("run", "recipe.yaml", "--resume-from", "three")

    assert (ended.status, notes(noting)) == (0, ["one", "two", "three", "three"])
    assert noting.call("ctx", "get", "@last", "note.three_v1").answer == 12


def test_a_run_starts_with_given_values(noting: Project) -> None:
    """--ctx takes the values from a file."""
    noting.write("values.json", json.dumps({"note.one_v1": 100}))

    noting.call("run", "recipe.yaml", "--only", "two", "--ctx", "values.json")

    assert noting.call("ctx", "get", "@last").answer == {"note.one_v1": 100, "note.two_v1": 101}


def test_a_run_starts_with_the_last_values(noting: Project) -> None:
    """--ctx @last takes the values of the newest run."""
    noting.call("run", "recipe.yaml", "--set", "value=10")

    noting.call("run", "recipe.yaml", "--only", "two", "--ctx", "@last")

    assert noting.call("ctx", "get", "@last", "note.two_v1").answer == 11


def test_after_a_failure_the_rest_can_go_on(noting: Project) -> None:
    """With --keep-going, what does not depend on the failed step still runs."""
    free = "  - { name: free, type: python, module: ./note.py, depends_on: [one], args: { step: free } }\n"
    noting.write("recipe.yaml", f"{RECIPE}{free}")
    noting.write("broken", "")

    ended = noting.call("run", "recipe.yaml", "--keep-going")

    assert ended.status == 1
    assert states(noting) == ["COMPLETED", "FAILED", "BLOCKED", "COMPLETED"]


@pytest.mark.parametrize("words", [("run", "recipe.yaml"), ("resume",), ("resume", "@last")], ids=" ".join)
def test_a_killed_run_goes_on(dead: Project, words: tuple[str, ...]) -> None:
    """The same command, or resume, goes on behind the last step that ended."""
    ended = dead.call(*words)

    assert (ended.status, notes(dead)) == (0, ["one", "die", "three"])
    assert "(3 steps, going on after 1)" in ended.stderr
    assert [row["status"] for row in dead.call("attempts", "@last", "die").table] == ["LOST", "COMPLETED"]
    assert len(dead.run_folders()) == 1


def test_a_killed_run_is_seen_as_stopped(dead: Project) -> None:
    """Status tells that nobody drives the run, and how to go on."""
    ended = dead.call("status")

    assert f"RUNNING, runner stopped; go on with: matterstack resume {dead.run_folders()[0].name}" in ended.stderr


def test_a_killed_run_can_be_left_behind(dead: Project) -> None:
    """With --new everything runs afresh."""
    dead.call("run", "recipe.yaml", "--new")

    assert (notes(dead), len(dead.run_folders())) == (["one", "one", "die", "three"], 2)


def test_other_inputs_make_another_run(noting: Project) -> None:
    """A killed run goes on only for the same recipe with the same inputs."""
    noting.write("recipe.yaml", DEADLY.replace("steps:", "inputs: { x: { type: number, default: 1 } }\nsteps:"))
    noting.write("deadly", "")
    noting.call("run", "recipe.yaml")
    (noting.folder / "deadly").unlink()

    noting.call("run", "recipe.yaml", "--set", "x=2")

    assert (notes(noting), len(noting.run_folders())) == (["one", "one", "die", "three"], 2)


def test_a_run_goes_on_where_it_was_started(dead: Project) -> None:
    """Steps find their relative paths again when the run is resumed from another directory."""
    below = dead.folder / "below"
    below.mkdir()

    ended = dead.call("resume", cwd=below)

    assert (ended.status, notes(dead)) == (0, ["one", "die", "three"])


@pytest.mark.parametrize("name", ["recipe.yaml", "note.py"])
def test_a_changed_definition_is_refused(dead: Project, name: str) -> None:
    """A run does not silently go on with another recipe or scriptlet than it began with."""
    path = dead.folder / name
    path.write_text(path.read_text().replace("step: one", "step: uno").replace("broken", "torn"))

    ended = dead.call("resume")

    assert (ended.status, ended.answer["exit_code"], notes(dead)) == (2, 2, ["one"])
    assert "error[MS307]" in ended.stderr
    assert "--accept-recipe-change" in ended.stderr


@pytest.mark.parametrize(
    ("name", "rerun"), [("recipe.yaml", ["one", "uno", "die", "three"]), ("note.py", ["one", "one", "die", "three"])]
)
def test_a_changed_definition_can_be_accepted(dead: Project, name: str, rerun: list[str]) -> None:
    """What changed runs again, in the same run."""
    path = dead.folder / name
    path.write_text(path.read_text().replace("step: one", "step: uno").replace("broken", "torn"))

    ended = dead.call("resume", "--accept-recipe-change")

    assert (ended.status, notes(dead), len(dead.run_folders())) == (0, rerun, 1)


def test_two_runs_at_once_are_two_runs(project: Project) -> None:
    """While one process drives a run, the same command makes another, and both come to their end."""
    project.write("recipe.yaml", DOOR)
    for name in ("ready", "go"):
        os.mkfifo(project.folder / name)
    first = project.start("run", "recipe.yaml")
    read_pipe(project.folder / "ready")

    second = project.call("run", "recipe.yaml")
    (project.folder / "go").write_text("go")

    assert (second.status, finish(first).status) == (0, 0)
    assert [row["status"] for row in project.call("runs").table] == ["COMPLETED", "COMPLETED"]


def test_a_driven_run_is_not_resumed(project: Project) -> None:
    """A second process is refused at once and told who drives the run."""
    project.write("recipe.yaml", DOOR)
    for name in ("ready", "go"):
        os.mkfifo(project.folder / name)
    first = project.start("run", "recipe.yaml")
    read_pipe(project.folder / "ready")

    ended = project.call("resume")
    status = project.call("status", "--json").answer
    (project.folder / "go").write_text("go")

    assert (ended.status, status["driven"]) == (6, True)
    assert f"is driven by another runner: process {first.pid} on " in ended.stderr
    assert finish(first).status == 0


def test_many_starts_at_the_same_instant_disturb_nobody(project: Project) -> None:
    """Several processes that make their runs in one workspace together all succeed and leave nothing else."""
    project.write("recipe.yaml", ONE)
    processes = [project.start("run", "recipe.yaml", "--new") for _ in range(6)]

    assert [finish(process).status for process in processes] == [0] * 6
    assert len(project.run_folders()) == 6
    assert list(project.folder.rglob(".ms-tmp-*")) == []


@pytest.mark.parametrize("end", ["2>&1 | head -1", "2>&1 >/dev/null | true", FULL, "2>&-"])
def test_a_log_that_cannot_be_written_stops_no_run(noting: Project, end: str) -> None:
    """A run goes on to its end although nobody reads about it any more, or the disk with its log is full."""
    shell = ["sh", "-c", f'"$@" {end}', "sh"]

    noting.call("run", "recipe.yaml", command=[*shell, *COMMAND])

    assert states(noting) == ["COMPLETED", "COMPLETED", "COMPLETED"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize(
    "words", [("run", "recipe.yaml"), ("status",), ("runs",), ("schema",), ("--help",)], ids=" ".join
)
def test_a_result_that_cannot_be_written_is_no_internal_error(noting: Project, words: tuple[str, ...]) -> None:
    """Where standard output leads to a full disk, the message says so, and no run is lost."""
    noting.call("run", "recipe.yaml")
    shell = ["sh", "-c", '"$@" >/dev/full', "sh"]

    ended = noting.call(*words, command=[*shell, *COMMAND])

    assert (ended.status, ended.stdout) == (6, "")
    assert "error[MS601]: the machine refused: no space is left where the output goes" in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert states(noting) == ["COMPLETED", "COMPLETED", "COMPLETED"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count descriptors in another way")
@pytest.mark.parametrize("most", [6, 12, 18])
def test_too_few_descriptors_are_no_internal_error(noting: Project, most: int) -> None:
    """The run stops in order, and goes on where there are more."""
    shell = ["sh", "-c", f'ulimit -n {most}; exec "$@"', "sh"]

    ended = noting.call("run", "recipe.yaml", command=[*shell, *COMMAND])
    again = noting.call("run", "recipe.yaml")

    assert (ended.status, "error[MS601]" in ended.stderr) == (6, True), ended.stderr
    assert (again.status, states(noting)) == (0, ["COMPLETED", "COMPLETED", "COMPLETED"])
