"""The commands that read: tables when piped, one JSON line with --json, and nothing else on standard output."""

from __future__ import annotations

import json
from typing import Any

import pytest

import orchestrator
from tests.acceptance.program import COMMAND, Ended, Project, make_project

RECIPE = """\
schema: matterstack/recipe/v1
test_meta: { test_id: READ-001 }
inputs:
  limit: { type: number, default: 2 }
steps:
  - name: count
    type: shell
    run: "echo counting >&2; echo '{\\"status\\": \\"ok\\", \\"outputs\\": {\\"count.total_v1\\": 3}}'"
    timeout: 30s
  - name: doubt
    type: shell
    run: "echo '{\\"status\\": \\"error\\", \\"reason\\": \\"no idea\\"}'; exit 1"
    when: ctx.count.total_v1 > inputs.limit
    retry: { max: 1 }
  - name: report
    type: shell
    run: "echo '{\\"status\\": \\"ok\\"}'"
"""

COMMANDS = [
    "attempts",
    "ctx",
    "plan",
    "replay",
    "resume",
    "run",
    "runs",
    "schema",
    "scriptlets",
    "self-test",
    "status",
    "stub",
    "validate",
]


@pytest.fixture(name="done", scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a project with two runs: of all steps, which failed, and of the first alone, which is the last."""
    project = make_project(tmp_path_factory.mktemp("done") / "project")
    project.write("recipe.yaml", RECIPE)
    assert project.call("run", "recipe.yaml").status == 1
    assert project.call("run", "recipe.yaml", "--only", "count").status == 0
    return project


def first_run(project: Project) -> str:
    """Give the id of the run that failed."""
    return project.run_folders()[0].name


def shown(ended: Ended) -> Any:  # noqa: ANN401  any JSON value
    """Give the answer of a command that went well and said nothing else."""
    assert (ended.status, ended.stderr) == (0, "")
    return ended.answer


def test_version_is_one_line(project: Project) -> None:
    """The version is asked for by either name."""
    answers = [project.call(option).stdout for option in ("--version", "-V")]

    assert answers == [f"matterstack {orchestrator.__version__}\n"] * 2


def test_help_lists_every_command(project: Project) -> None:
    """Help names all commands and the exit statuses."""
    ended = project.call("--help")

    assert ended.status == 0
    assert [name for name in COMMANDS if f"  {name} " not in ended.stdout] == []
    assert "130/143 interrupted" in " ".join(ended.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(project: Project, command: str) -> None:
    """Each command has its own help."""
    ended = project.call(command, "--help")

    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: matterstack {command} ")


def test_status_is_a_table_of_tasks(done: Project) -> None:
    """What stands where is a table; the headline and the counts are for people."""
    ended = done.call("status", first_run(done))

    assert [(row["task"], row["status"], row["attempts"], row["reason"]) for row in ended.table] == [
        ("count", "COMPLETED", "1", ""),
        ("doubt", "FAILED", "2", "the exit code is 1, not 0: no idea"),
        ("report", "BLOCKED", "0", "needs doubt"),
    ]
    assert "recipe.yaml  FAILED" in ended.stderr
    assert "1 blocked, 1 completed, 1 failed" in ended.stderr


def test_status_without_a_run_is_about_the_last(done: Project) -> None:
    """The newest run is meant when none is named."""
    document = shown(done.call("status", "--json"))

    assert document["run_id"] == done.run_folders()[-1].name
    assert (document["status"], document["driven"]) == ("COMPLETED", False)
    assert document["task_counts"] == {"COMPLETED": 1, "SKIPPED": 2}
    assert [task["status_reason"] for task in document["tasks"]] == ["", "not in --only", "not in --only"]


def test_attempts_are_a_table(done: Project) -> None:
    """Every attempt is listed with the columns that other tools know, oldest first."""
    ended = done.call("attempts", first_run(done), "doubt")

    assert ended.stdout.splitlines()[0].split("\t")[:8] == [
        "attempt_id",
        "attempt_index",
        "status",
        "operator_type",
        "external_id",
        "artifact_path",
        "config_hash",
        "operator_key",
    ]
    assert [(row["attempt_index"], row["status"], row["operator_key"], row["outcome"]) for row in ended.table] == [
        ("1", "FAILED", "local.default", "exit 1"),
        ("2", "FAILED", "local.default", "exit 1"),
    ]


def test_attempts_as_json_hold_the_answer(done: Project) -> None:
    """The envelope of each attempt is kept."""
    attempts = shown(done.call("attempts", first_run(done), "doubt", "--json"))

    assert [attempt["envelope"]["reason"] for attempt in attempts] == ["no idea", "no idea"]


def test_attempts_show_standard_error(done: Project) -> None:
    """What a step logged can be had as it was."""
    ended = done.call("attempts", first_run(done), "count", "--stderr")

    assert (ended.stdout, ended.stderr) == ("counting\n", "")


def test_runs_are_listed_newest_first(done: Project) -> None:
    """Every run has a line."""
    rows = done.call("runs").table

    assert [(row["status"], row["recipe"], row["workspace"], row["tasks"]) for row in rows] == [
        ("COMPLETED", "recipe.yaml", "recipe", "3/3"),
        ("FAILED", "recipe.yaml", "recipe", "3/3"),
    ]


def test_runs_can_be_limited(done: Project) -> None:
    """A number of runs can be asked for."""
    assert [run["status"] for run in shown(done.call("runs", "--limit", "1", "--json"))] == ["COMPLETED"]


@pytest.mark.parametrize("form", ["id", "prefix", "@last", "path", "absolute path"])
def test_a_run_has_many_names(done: Project, form: str) -> None:
    """A run is named by its id, a unique prefix, its folder, or as the last one."""
    folder = done.run_folders()[-1]
    names = {
        "id": folder.name,
        "prefix": folder.name[:-2],
        "@last": "@last",
        "path": str(folder.relative_to(done.folder)),
        "absolute path": str(folder),
    }

    assert shown(done.call("status", names[form], "--json"))["run_id"] == folder.name


def test_runs_are_found_from_below_the_project(done: Project) -> None:
    """Any folder of the project will do to ask about its runs."""
    below = done.folder / "deep" / "down"
    below.mkdir(parents=True, exist_ok=True)

    assert shown(done.call("status", "--json", cwd=below))["status"] == "COMPLETED"


def test_runs_are_found_through_the_environment(done: Project, project: Project) -> None:
    """A variable names the folder of all workspaces."""
    env = {"MATTERSTACK_WORKSPACES": str(done.folder / "workspaces")}

    assert shown(project.call("status", "--json", env=env))["status"] == "COMPLETED"


def test_context_is_one_json_object(done: Project) -> None:
    """All values come as one object, one value alone as itself, the keys as lines."""
    answers = [done.call("ctx", *words).stdout for words in (("get", "@last"), ("get", "@last", "count.total_v1"))]

    assert answers == ['{"count.total_v1": 3}\n', "3\n"]
    assert done.call("ctx", "keys", "@last").stdout == "count.total_v1\n"


def test_history_tells_who_wrote(done: Project) -> None:
    """Every write is listed with its author."""
    (entry,) = shown(done.call("ctx", "history", "@last", "--json"))

    assert (entry["key"], entry["value"], entry["who"], entry["task_id"]) == ("count.total_v1", 3, "count", "count")


def test_plan_is_a_table(done: Project) -> None:
    """A plan says what would run, after what, and under which condition."""
    rows = done.call("plan", "recipe.yaml", "--skip", "report").table

    assert [(row["step"], row["after"], row["when"], row["note"]) for row in rows] == [
        ("count", "", "", "timeout 30s"),
        ("doubt", "count", "ctx.count.total_v1 > inputs.limit", "1 retry"),
        ("report", "doubt", "", "skip: left out by --skip"),
    ]


def test_plan_as_json_has_the_inputs(done: Project) -> None:
    """Inputs are settled, given ones before defaults."""
    document = shown(done.call("plan", "recipe.yaml", "--set", "limit=7", "--json"))

    assert document["inputs"] == {"limit": 7}
    assert [task["task_id"] for task in document["tasks"]] == ["count", "doubt", "report"]


def test_planning_writes_nothing(project: Project) -> None:
    """Neither a plan nor a check leaves anything behind."""
    project.write("recipe.yaml", RECIPE)
    before = sorted(project.folder.rglob("*"))

    project.call("plan", "recipe.yaml")
    project.call("validate", "recipe.yaml")

    assert sorted(project.folder.rglob("*")) == before


def test_validate_tells_of_every_file(project: Project) -> None:
    """Good and bad recipes are told apart, each with its problems, and one bad one decides the exit status."""
    project.write("good.yaml", RECIPE)
    project.write("bad.yaml", RECIPE.replace("timeout", "timeuot"))

    ended = project.call("validate", "good.yaml", "bad.yaml", "--json")

    good, bad = ended.answer
    assert ended.status == 3
    assert (good["valid"], good["steps"], bad["valid"]) == (True, 3, False)
    assert [(p["code"], p["line"], p["column"], p["help"]) for p in bad["problems"]] == [
        ("MS101", 9, 5, "did you mean 'timeout'?")
    ]
    assert "bad.yaml:9:5: error[MS101]: unknown key 'timeuot'" in ended.stderr


def test_scriptlets_are_listed_with_what_they_do(project: Project) -> None:
    """The steps of the project and those that ship are listed by module and class."""
    project.write("scriptlets/own.py", 'class Own(BaseScriptlet):\n    """Do our own thing."""\n')

    found = {(row["module"], row["class"]): row["summary"] for row in shown(project.call("scriptlets", "--json"))}

    assert found["scriptlets.own", "Own"] == "Do our own thing."
    assert ("scriptlets.steps.compute_numbers", "ComputeNumbers") in found


def test_scriptlet_is_shown_with_what_it_takes_and_writes(project: Project) -> None:
    """What a class declares is shown to people, and as one object."""
    text = project.call("scriptlets", "show", "compute_median")
    told = shown(project.call("scriptlets", "show", "ComputeMedian", "--json"))

    assert (text.status, told["module"], told["class"]) == (0, "scriptlets.steps.compute_median", "ComputeMedian")
    assert told["doc"] in text.stdout
    assert all(name in text.stdout for name in told["params_schema"]["properties"])
    assert all(name in text.stdout for name in told["outputs_schema"])


def test_own_scriptlet_without_declarations_is_shown(project: Project) -> None:
    """One that says nothing of its values is shown with its text; a script with its comment."""
    project.write("scriptlets/own.py", 'class Own(BaseScriptlet):\n    """Do our own thing."""\n')
    project.write("scriptlets/shell/tidy.sh", "#!/usr/bin/env bash\n# Tidy up.\necho '{}'\n")

    assert "Do our own thing." in project.call("scriptlets", "show", "scriptlets.own").stdout
    assert "Tidy up." in project.call("scriptlets", "show", "tidy.sh").stdout


def test_unknown_scriptlet_is_refused_with_the_likely_name(project: Project) -> None:
    """A slip of the pen is answered with the name that is meant."""
    ended = project.call("scriptlets", "show", "compute_medain")

    assert (ended.status, "compute_median" in ended.stderr) == (2, True)


def test_schema_is_json_schema(project: Project) -> None:
    """Editors get a draft-07 schema."""
    ended = project.call("schema")

    schema = json.loads(ended.stdout)
    assert (ended.status, ended.stderr) == (0, "")
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["properties"]["schema"]["const"] == "matterstack/recipe/v1"


def test_self_test_works_anywhere(project: Project) -> None:
    """A fresh installation can be tried without any file, and nothing is left."""
    before = sorted(project.folder.rglob("*"))

    ended = project.call("self-test")

    assert (ended.status, ended.stdout) == (0, "")
    assert "FAIL" not in ended.stderr
    assert sorted(project.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "status", "complaint", "hint"),
    [
        (("stats",), 2, "there is no command 'stats'", "did you mean 'status'?"),
        (("status", "19990101"), 2, "error[MS004]: no run '19990101'", "known: "),
        (("status", "2"), 2, "error[MS004]: run '2' is not unique", "give more of the id"),
        (("attempts", "@last", "cuont"), 2, "has no task 'cuont'", "did you mean 'count'?"),
        (("ctx", "get", "@last", "count.total"), 2, "has no 'count.total'", "did you mean 'count.total_v1'?"),
        (("plan", "recipe.yaml", "--only", "cuont"), 2, "error[MS203]", "did you mean 'count'?"),
        (("plan", "recipe.yaml", "--set", "limt=1"), 2, "error[MS209]", "did you mean 'limit'?"),
        (("plan", "recipe.yaml", "--set", "limit=x"), 2, "error[MS209]", "its type is number"),
        (
            ("plan", "recipe.yaml", "--skip", "count,doubt,report"),
            4,
            "error[MS003]",
            "the steps are: count, doubt, report",
        ),
        (("plan", "recip.yaml"), 3, "error[MS108]: 'recip.yaml' does not exist", "did you mean 'recipe.yaml'?"),
        (("runs", "--limmit", "1"), 2, "no such option '--limmit'", "'--limit'"),
        (("resume", "@last"), 2, "is COMPLETED; there is nothing to resume", "start a new run"),
    ],
)
def test_what_is_not_there_is_named(
    done: Project, words: tuple[str, ...], status: int, complaint: str, hint: str
) -> None:
    """A wrong name is refused with the one that was probably meant."""
    ended = done.call(*words)

    assert ended.status == status
    assert complaint in ended.stderr
    assert hint in ended.stderr
    assert ended.stdout == "" or ended.answer["exit_code"] == status


@pytest.mark.parametrize("words", [("status",), ("runs",), ("scriptlets",), ("schema",)], ids=" ".join)
def test_a_reader_that_leaves_is_no_fault(done: Project, words: tuple[str, ...]) -> None:
    """Piping into a program that reads nothing, such as ``head -0``, ends quietly."""
    shell = ["sh", "-c", 'exec 3>&1; { "$@"; echo $? >&3; } | true', "sh"]

    ended = done.call(*words, command=[*shell, *COMMAND])

    assert (ended.stdout, "Traceback" in ended.stderr) == ("0\n", False)


def test_replay_opens_the_debugger_where_a_step_fails(project: Project) -> None:
    """In the step's own frame, with what it has there."""
    project.write(
        "bad.py",
        "from orchestrator import BaseScriptlet\n\n\nclass Bad(BaseScriptlet):\n"
        "    def work(self, ctx, params):\n        half = params['n'] / 2\n        raise RuntimeError('no luck')\n",
    )
    project.write("r.yaml", "steps: [{name: bad, type: python, module: ./bad.py, args: {n: 5}}]\n")
    failed = project.call("run", "r.yaml")

    ended = project.call("replay", "@last", "bad", "--pdb", stdin="p half\nq\n")

    assert "matterstack replay" in failed.stderr
    assert (ended.status, "(Pdb) 2.5" in ended.stdout) == (1, True)
    assert "RuntimeError: no luck" in ended.stderr


def test_leaks_are_looked_for(project: Project) -> None:
    """A secret that somebody put into the run's folder is found, also one of a used recipe, and not printed."""
    step = '{name: a, type: shell, run: "echo \'{\\"status\\": \\"ok\\"}\'"}'
    project.write("used.yaml", f"secrets: {{lab: {{env: LAB_TOKEN}}}}\nsteps: [{step}]\n")
    project.write("r.yaml", "steps: [{name: sub, type: recipe, uses: ./used.yaml}]\n")
    env = {"LAB_TOKEN": "correct-horse-battery"}
    assert project.call("run", "r.yaml", env=env).status == 0
    clean = project.call("check-leaks", "@last", env=env)
    (project.run_folders()[-1] / "note.txt").write_text("x correct-horse-battery", encoding="utf-8")

    leaking = project.call("check-leaks", "@last", "--json", env=env)

    assert (clean.status, clean.stdout.endswith("no leak of 1 secrets\n")) == (0, True)
    assert (leaking.status, leaking.answer["leaks"]) == (1, ["note.txt: a secret at byte 2"])


def test_a_recorded_run_can_be_played_again(done: Project) -> None:
    """With its values and its failure, and no step is run."""
    recorded = done.call("stub", "record", first_run(done), "-o", "stubs.yaml")
    played = done.call("run", "recipe.yaml", "--stub", "stubs.yaml", "--new", "--workspaces-dir", "played")

    assert (recorded.status, recorded.stdout) == (0, "")
    assert (played.status, played.answer["step"], played.answer["stubbed"]) == (1, "doubt", True)
    assert played.answer["reason"] == "the exit code is 1, not 0: no idea"
    assert "with stubs" in done.call("status", "--workspaces-dir", "played").stderr
