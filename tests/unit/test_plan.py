"""Planning turns a recipe into tasks, or says all that is wrong with it, and touches nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError, NothingSelectedError, UsageError
from orchestrator.nodes import RetryRule
from orchestrator.plan import Plan, Selection, plan_recipe
from orchestrator.workers.calls import CommandCall, PythonCall
from tests.unit.workshop import Workshop, python, recipe, shell

Feed = Callable[[bytes], None]

ABC = recipe(python("load"), python("relax"), python("report"))


def waits(plan: Plan) -> list[tuple[int, ...]]:
    """Give the positions that each task waits for."""
    return [task.node.after for task in plan.tasks]


def left_out(plan: Plan) -> list[str]:
    """Give why each task is left out."""
    return [task.left_out for task in plan.tasks]


def test_each_step_waits_for_the_one_before(workshop: Workshop) -> None:
    """The list is the order."""
    plan = workshop.plan(ABC)

    assert [task.task_id for task in plan.tasks] == ["load", "relax", "report"]
    assert waits(plan) == [(), (0,), (1,)]


def test_depends_on_replaces_the_order(workshop: Workshop) -> None:
    """It may name later steps, several, or none; the plan has them in an order in which they could run."""
    steps = (python("a", keys="depends_on: [c, b]"), python("b", keys="depends_on: []"), python("c"))

    assert waits(workshop.plan(recipe(*steps))) == [(), (0,), (1, 0)]


def test_steps_without_a_schema_are_ordered_by_number(workshop: Workshop) -> None:
    """Each waits for the one before it in that order."""
    plan = workshop.plan(recipe(python("late", keys="idx: 2"), python("early", keys="idx: 1")))

    assert [task.task_id for task in plan.tasks] == ["early", "late"]
    assert waits(plan) == [(), (0,)]


def test_a_python_step_runs_a_class_of_a_file(workshop: Workshop) -> None:
    """The file is found, not imported; its name as a module is nobody else's."""
    (task,) = workshop.plan(recipe(python("a"))).tasks

    assert isinstance(task.target, PythonCall)
    assert (task.target.path, task.target.class_name) == (workshop.folder / "steps.py", "Write")
    assert task.target.module.startswith("matterstack_step_")
    assert task.runs == "steps.py:Write"


def test_nothing_is_imported(workshop: Workshop) -> None:
    """A module that would fail when imported is planned all the same."""
    workshop.write("bomb.py", "raise SystemExit\n\n\nclass Bomb:\n    pass\n")

    (task,) = workshop.plan(recipe("{name: a, type: python, module: ./bomb.py}")).tasks

    assert task.runs == "bomb.py:Bomb"


@pytest.mark.parametrize(
    ("keys", "target", "runs"),
    [
        ("run: [sort, -n, a b]", CommandCall(argv=("sort", "-n", "a b")), "sort -n a b"),
        ("run: 'sort | uniq'", CommandCall(argv=("sh", "-c", "sort | uniq")), "sh -c sort | uniq"),
    ],
)
def test_a_shell_step_runs_a_command(workshop: Workshop, keys: str, target: CommandCall, runs: str) -> None:
    """A list is the program and its arguments; text is for the shell."""
    (task,) = workshop.plan(recipe(f"{{name: a, type: shell, {keys}}}")).tasks

    assert (task.target, task.runs) == (target, runs)


def test_a_shell_step_runs_a_script(workshop: Workshop) -> None:
    """A script takes its arguments as ``--params``."""
    path = workshop.write("do.sh", "#!/bin/sh -e\n")

    (task,) = workshop.plan(recipe("{name: a, type: shell, script: do.sh}")).tasks

    assert task.target == CommandCall(argv=("/bin/sh", "-e", str(path)), takes_params=True)


def test_a_script_is_looked_up_in_the_project_too(workshop: Workshop) -> None:
    """Beside the recipe first."""
    recipe_path = workshop.write("recipes/r.yaml", recipe("{name: a, type: shell, script: do.sh}"))
    path = workshop.write("do.sh", "true\n")

    (task,) = plan_recipe(str(recipe_path), {}).tasks

    assert task.target == CommandCall(argv=("sh", str(path)), takes_params=True)


def test_a_step_has_what_the_defaults_say(workshop: Workshop) -> None:
    """Unless it says otherwise itself."""
    head = "defaults: {timeout: 1m, retry: {max: 2, delay_sec: 3, backoff: linear}, env: {A: 1, B: 2}}\n"
    own = "timeout: 5, retry: {max: 1, on: [timeout]}, env: {B: 3}"

    default, special = workshop.plan(recipe(python("a"), python("b", keys=own), head=head)).tasks

    every = frozenset({"error", "timeout", "oom"})
    assert default.node.retry == RetryRule(max=2, delay_sec=3.0, backoff="linear", on=every)
    assert special.node.retry == RetryRule(max=1, on=frozenset({"timeout"}))
    assert (default.timeout_sec, special.timeout_sec) == (60.0, 5.0)
    assert (default.env, special.env) == ({"A": 1, "B": 2}, {"A": 1, "B": 3})


def test_inputs_and_constants_are_settled(workshop: Workshop) -> None:
    """Constants may be made of inputs."""
    head = "inputs: {least: {type: integer, default: 3}}\nvars: {most: '${{ inputs.least * 2 }}', sites: [north]}\n"

    plan = workshop.plan(recipe(python("a"), head=head), {"least": "4"})

    assert plan.inputs == {"least": 4}
    assert plan.vars == {"most": 8, "sites": ["north"]}


def test_all_that_is_wrong_is_told_at_once(workshop: Workshop) -> None:
    """What a schema sees, what an expression lacks, what is not executed yet and what files are not there."""
    problems = workshop.problems(
        recipe(
            "{name: a, type: python, modul: ./steps.py}",
            "{name: b, type: python, module: ./nowhere.py}",
            python("c", "Nothing"),
            python("d", keys="needs: [a.x_v1]"),
            python("e", keys="when: inputs.x > 1"),
        )
    )

    assert [(problem.code, problem.place and problem.place.line) for problem in problems] == [
        ("MS101", 2),
        ("MS206", 3),
        ("MS206", 4),
        ("MS216", 5),
        ("MS207", 6),
    ]


def test_a_constant_that_has_no_value_is_refused(workshop: Workshop) -> None:
    """All of them at once, at their places, before anything has run."""
    head = "vars: {most: '${{ env.MISSPELT }}', fine: '${{ 1 + 1 }}', sum: '${{ [] + 1 }}'}\n"

    first, second = workshop.problems(recipe(python("a"), head=head))

    assert (first.code, first.place and first.place.column, second.place and second.place.column) == ("MS306", 14, 64)
    assert first.message.startswith("most: expression 'env.MISSPELT': ")


def test_a_recipe_may_come_from_standard_input(workshop: Workshop, feed: Feed) -> None:
    """Its paths start from the current directory."""
    feed(recipe(python("a")).encode())

    plan = plan_recipe("-", {})

    assert (plan.source.name, plan.project.recipe_folder) == ("<stdin>", workshop.folder)


def test_standard_input_is_text(workshop: Workshop, feed: Feed) -> None:
    """The byte that is not is named, as in a file."""
    feed(b"steps: [\xff]")

    with pytest.raises(InvalidFileError) as caught:
        plan_recipe("-", {})

    (problem,) = caught.value.problems
    assert (str(problem.place), problem.message) == ("<stdin>:1:9", "expected UTF-8, got the byte 0xff at byte 8")


def test_only_some_steps_may_be_selected(workshop: Workshop) -> None:
    """The others are left out, with the reason."""
    plan = workshop.plan(ABC, selection=Selection(only=("relax",)))

    assert left_out(plan) == ["not in --only", "", "not in --only"]


def test_some_steps_may_be_skipped(workshop: Workshop) -> None:
    """The others stay."""
    plan = workshop.plan(ABC, selection=Selection(skip=("load", "report")))

    assert left_out(plan) == ["left out by --skip", "", "left out by --skip"]


def test_a_plan_may_start_in_the_middle(workshop: Workshop) -> None:
    """What comes before is left out."""
    plan = workshop.plan(ABC, selection=Selection(resume_from=("report",)))

    assert left_out(plan) == ["before --resume-from report", "before --resume-from report", ""]


def test_selections_add_up(workshop: Workshop) -> None:
    """A step runs when nothing leaves it out."""
    plan = workshop.plan(ABC, selection=Selection(only=("load", "relax"), skip=("load",)))

    assert left_out(plan) == ["left out by --skip", "", "not in --only"]


def test_a_task_that_is_left_out_is_recorded_as_skipped(workshop: Workshop) -> None:
    """From the beginning, with its reason."""
    first, second, _ = workshop.plan(ABC, selection=Selection(skip=("load",))).tasks

    assert first.to_json() == {
        "task_id": "load",
        "step": "load",
        "phase": 0,
        "definition_sha256": first.definition_sha256,
        "status": "SKIPPED",
        "status_reason": "left out by --skip",
    }
    digest = second.definition_sha256
    assert second.to_json() == {"task_id": "relax", "step": "relax", "phase": 0, "definition_sha256": digest}


@pytest.mark.parametrize(
    "selection", [Selection(only=("relx",)), Selection(skip=("load", "relx")), Selection(resume_from=("relx",))]
)
def test_an_unknown_step_is_answered_with_the_one_meant(workshop: Workshop, selection: Selection) -> None:
    """Nothing is planned."""
    with pytest.raises(UsageError) as caught:
        workshop.plan(ABC, selection=selection)

    assert (caught.value.code, caught.value.exit_status) == ("MS203", 2)
    assert caught.value.message == f"{workshop.folder / 'r.yaml'}: the recipe has no step 'relx'"
    assert caught.value.hint == "did you mean 'relax'?"


@pytest.mark.parametrize(
    "selection", [Selection(skip=("load", "relax", "report")), Selection(only=("load",), resume_from=("relax",))]
)
def test_selecting_nothing_is_refused(workshop: Workshop, selection: Selection) -> None:
    """A run of no step would look like a success."""
    with pytest.raises(NothingSelectedError) as caught:
        workshop.plan(ABC, selection=selection)

    assert (caught.value.code, caught.value.exit_status) == ("MS003", 4)
    assert caught.value.hint == "the steps are: load, relax, report"


def test_every_file_that_is_missing_is_shown(workshop: Workshop) -> None:
    """All at once, in file order, each with its place and what was meant."""
    problems = workshop.problems(
        recipe(
            "{name: a, type: python, module: ./stebs.py}",
            python("b", "Wrote"),
            "{name: c, type: shell, script: gone.sh}",
            "{name: d, type: python, module: scriptlets.steps.compute_medan}",
        )
    )

    assert [(problem.code, problem.place and problem.place.line, problem.message) for problem in problems] == [
        ("MS206", 2, "module file './stebs.py' is not there"),
        ("MS206", 3, "'./steps.py' has no class 'Wrote'"),
        ("MS206", 4, "script 'gone.sh' is not there"),
        ("MS206", 5, "module 'scriptlets.steps.compute_medan' is not there"),
    ]
    assert problems[1].help == "did you mean 'Write'?"


def test_a_module_must_be_allowed(workshop: Workshop) -> None:
    """The project says what recipes may name; a recipe cannot."""
    workshop.write("lab/load.py", "class Load:\n    pass\n")
    text = recipe("{name: a, type: python, module: lab.load}")

    (problem,) = workshop.problems(text)
    assert (problem.code, str(problem.place)) == ("MS205", f"{workshop.folder / 'r.yaml'}:2:35")
    assert problem.message == "module 'lab.load' is not allowed; allowed: scriptlets.*"

    workshop.write("matterstack.toml", '[allow]\nmodules = ["lab.*"]\n')
    assert workshop.plan(text).tasks[0].runs == "load.py:Load"


def test_what_is_allowed_replaces_the_default(workshop: Workshop) -> None:
    """A project may close off what ships."""
    workshop.write("matterstack.toml", "[allow]\nmodules = []\n")

    (problem,) = workshop.problems(recipe("{name: a, type: python, module: scriptlets.steps.compute_median}"))

    assert problem.code == "MS205"


def test_allowing_a_package_allows_no_namesake(workshop: Workshop) -> None:
    """Dotted parts are matched whole."""
    workshop.write("matterstack.toml", '[allow]\nmodules = ["lab.*"]\n')

    (problem,) = workshop.problems(recipe("{name: a, type: python, module: laboratory.load}"))

    assert problem.code == "MS205"


def test_a_file_of_settings_must_be_right(workshop: Workshop) -> None:
    """Guessing what may run is no option."""
    workshop.write("matterstack.toml", '[allow]\nmodules = "lab.*"\n')

    (problem,) = workshop.problems(recipe(python("a")))

    assert (problem.code, problem.message.rpartition(": ")[2]) == ("MS106", "[allow] modules is not a list of names")


def test_a_link_out_of_the_project_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """Whoever writes a recipe does not choose among the files of the machine."""
    (tmp_path / "outside.py").write_text("class Outside:\n    pass\n")
    (workshop.folder / "inside.py").symlink_to(tmp_path / "outside.py")

    (problem,) = workshop.problems(recipe("{name: a, type: python, module: ./inside.py, function: Outside}"))

    assert (problem.code, problem.message) == (
        "MS205",
        f"'./inside.py' leads out of the project, to {tmp_path / 'outside.py'}",
    )


def test_what_cannot_run_yet_is_shown_with_what_is_missing(workshop: Workshop) -> None:
    """One round of mending is enough."""
    problems = workshop.problems(
        recipe(shell("s", "x", "retry: {on: [oom]}"), python("a", "Gone"), python("b", keys="needs: [a.x_v1]"))
    )

    assert [problem.code for problem in problems] == ["MS208", "MS206", "MS216"]
    with pytest.raises(InvalidFileError, match="'oom' alone is not executed yet"):
        workshop.plan(recipe(shell("s", "x", "retry: {on: [oom]}"), python("a", "Gone")))


TAGGED = recipe(python("a", keys="tags: [x]"), python("b", keys="tags: [x, y]"), python("c"))


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(tags=("y",)), ["b"]),
        (Selection(tags=("x", "y")), ["a", "b"]),
        (Selection(until=("b",)), ["a", "b"]),
        (Selection(until=("b",), resume_from=("b",)), ["b"]),
        (Selection(tags=("x",), skip=("a",)), ["b"]),
    ],
)
def test_steps_are_selected_by_tags_and_by_an_end(workshop: Workshop, selection: Selection, left: list[str]) -> None:
    """All options together must leave a step in."""
    assert [task.task_id for task in workshop.plan(TAGGED, selection=selection).tasks if not task.left_out] == left


def test_an_unknown_tag_is_refused(workshop: Workshop) -> None:
    """With the tags that there are."""
    with pytest.raises(UsageError, match="no step has the tag 'z'") as caught:
        workshop.plan(TAGGED, selection=Selection(tags=("z",)))

    assert caught.value.hint == "known: x, y"


def test_planning_writes_nothing(workshop: Workshop) -> None:
    """Not even a folder for the runs."""
    workshop.write("r.yaml", ABC)
    before = sorted(workshop.folder.rglob("*"))

    workshop.plan(ABC)

    assert sorted(workshop.folder.rglob("*")) == before


def definition(workshop: Workshop, keys: str = "", head: str = "") -> str:
    """Give the hash of a step of which all but these keys stay the same."""
    return workshop.plan(recipe(python("a", keys=keys), head=head)).tasks[0].definition_sha256


@pytest.mark.parametrize(
    ("keys", "head"),
    [
        ("idx: 7", ""),
        ("description: now with words", ""),
        ("tags: [smoke]", ""),
        ("", "description: a recipe\ntags: [smoke]\n"),
        ("", "test_meta: {tester: user}\n"),
        ("", "# a remark\n"),
        ("", "vars: {x: 1}\n"),
        ("", "inputs: {x: {type: integer, default: 1}}\n"),
        ("", "workspace: other\n"),
    ],
)
def test_a_definition_is_not_changed_by_words(workshop: Workshop, keys: str, head: str) -> None:
    """What a step does is not what is said of it."""
    assert definition(workshop, keys, head) == definition(workshop)


@pytest.mark.parametrize(
    ("keys", "head"),
    [
        ("args: {a.x_v1: 1}", ""),
        ("env: {A: 1}", ""),
        ("when: 1 > 0", ""),
        ("timeout: 5", ""),
        ("retry: {max: 1}", ""),
        ("allow_failure: true", ""),
        ("success: {expect: ['1 > 0']}", ""),
        ("", "defaults: {env: {A: 1}}\n"),
        ("", "defaults: {timeout: 5}\n"),
        ("", "defaults: {retry: {max: 1}}\n"),
        ("", "defaults: {retry: {delay_sec: 1}}\n"),
        ("", "defaults: {retry: {backoff: linear}}\n"),
        ("", "defaults: {retry: {on: [timeout]}}\n"),
    ],
)
def test_a_definition_is_changed_by_what_a_step_does(workshop: Workshop, keys: str, head: str) -> None:
    """Also where the defaults say so."""
    assert definition(workshop, keys, head) != definition(workshop)


@pytest.mark.parametrize("said", ["timeout: 5", "env: {A: 1}", "retry: {max: 1, on: [error]}"])
def test_a_definition_does_not_depend_on_where_it_is_written(workshop: Workshop, said: str) -> None:
    """At the step or among the defaults is the same."""
    assert definition(workshop, keys=said) == definition(workshop, head=f"defaults: {{{said}}}\n")


def test_a_definition_does_not_depend_on_how_it_is_written(workshop: Workshop) -> None:
    """Neither on the order of keys nor on quotes."""
    assert definition(workshop, "timeout: 5, args: {b_v1: x, a_v1: 1}") == definition(
        workshop, "args: {a_v1: 1, 'b_v1': \"x\"}, timeout: 5s"
    )


def test_a_definition_is_changed_by_the_file(workshop: Workshop) -> None:
    """The scriptlet's text is part of what a step does."""
    before = definition(workshop)

    workshop.write("steps.py", "class Write:\n    pass\n")

    assert definition(workshop) != before


def test_a_definition_is_changed_by_the_class(workshop: Workshop) -> None:
    """Another class of the same file does something else."""
    other, first = workshop.plan(recipe(python("a", "Fail"))).tasks[0], workshop.plan(recipe(python("a"))).tasks[0]

    assert other.definition_sha256 != first.definition_sha256


def test_a_definition_is_changed_by_what_a_step_waits_for(workshop: Workshop) -> None:
    """Other predecessors may leave another context."""
    steps = [shell("a", "x"), shell("b", "x")]

    listed = workshop.plan(recipe(*steps, python("c"))).tasks[2]
    chosen = workshop.plan(recipe(*steps, python("c", keys="depends_on: [a]"))).tasks[2]

    assert listed.definition_sha256 != chosen.definition_sha256


def test_a_definition_names_what_comes_before_in_either_way(workshop: Workshop) -> None:
    """To write out what the list says anyway is no change."""
    steps = [shell("a", "x"), shell("b", "x")]

    listed = workshop.plan(recipe(*steps, python("c"))).tasks[2]
    written = workshop.plan(recipe(*steps, python("c", keys="depends_on: [b]"))).tasks[2]

    assert listed.definition_sha256 == written.definition_sha256
