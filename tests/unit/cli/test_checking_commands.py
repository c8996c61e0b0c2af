"""``validate``, ``plan`` and ``scriptlets`` look at what could run, and run nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop, python, recipe, shell

Call = Callable[..., Answer]


def test_a_recipe_that_needs_an_input_is_valid(call: Call, workshop: Workshop) -> None:
    """Whoever runs it will give it."""
    workshop.write("r.yaml", recipe(python("a"), head="inputs: {n: {type: integer}}\nvars: {m: '${{ inputs.n }}'}\n"))

    answer = call("validate", "r.yaml", "--json")

    (report,) = answer.json
    assert (answer.status, report["valid"], report["steps"]) == (0, True, 1)
    assert answer.stderr == "r.yaml: ok, 1 step\n"


def test_a_recipe_that_cannot_be_planned_is_not_valid(call: Call, workshop: Workshop) -> None:
    """Files that are missing and keys that stand in the wrong place are found."""
    workshop.write("r.yaml", recipe(python("a", "Gone"), shell("b", "x", "needs: [a.x_v1]")))

    answer = call("validate", "r.yaml", "--json")

    (report,) = answer.json
    assert (answer.status, [(p["code"], p["line"]) for p in report["problems"]]) == (3, [("MS206", 2), ("MS216", 3)])


@pytest.mark.parametrize("name", ["demos/slow", "workspaces/demos/slow", "workspaces/demos/slow/recipe.yaml"])
@pytest.mark.parametrize("command", ["validate", "lint", "plan", "graph"])
def test_a_workspace_stands_for_its_recipe(call: Call, workshop: Workshop, command: str, name: str) -> None:
    """By its slug or its path, as for the commands that begin a run of it."""
    workshop.write("workspaces/demos/slow/recipe.yaml", recipe(shell("a", "true")))

    assert call(command, name).status == 0


@pytest.mark.parametrize("command", ["validate", "lint", "plan", "graph"])
def test_a_folder_that_is_no_workspace_stands_for_nothing(call: Call, workshop: Workshop, command: str) -> None:
    """No run of it could begin either."""
    workshop.write("elsewhere/recipe.yaml", recipe(shell("a", "true")))

    answer = call(command, "elsewhere")

    assert (answer.status, "'elsewhere' is no workspace" in answer.stderr) == (2, True)


def test_a_warning_does_not_make_a_recipe_invalid(call: Call, workshop: Workshop) -> None:
    """It is shown with its place."""
    workshop.write("r.yaml", recipe(python("b", keys="idx: 2"), python("a", keys="idx: 1")))

    answer = call("validate", "r.yaml", "--json")

    assert answer.status == 0
    assert "r.yaml:3:69: warning[MS210]: idx 1 of step 'a' does not rise above idx 2 of 'b'" in answer.stderr
    assert [warning["code"] for warning in answer.json[0]["warnings"]] == ["MS210"]


def test_the_worst_of_several_recipes_is_the_status(call: Call, workshop: Workshop) -> None:
    """All are looked at."""
    workshop.write("good.yaml", recipe(python("a")))

    answer = call("validate", "gone.yaml", "good.yaml")

    assert answer.status == 3
    assert "'gone.yaml' does not exist" in answer.stderr
    assert "good.yaml: ok, 1 step" in answer.stderr


def test_a_recipe_on_standard_input_is_checked(call: Call, feed: Callable[[bytes], None]) -> None:
    """Its problems have the places that they have there."""
    feed(recipe(python("a", "Gone")).encode())

    answer = call("validate", "-")

    assert (answer.status, answer.stderr.startswith("<stdin>:2:")) == (3, True)


def test_a_plan_needs_its_inputs(call: Call, workshop: Workshop) -> None:
    """It shows what would run, which may depend on them."""
    workshop.write("r.yaml", recipe(python("a"), head="inputs: {n: {type: integer}}\n"))

    assert call("plan", "r.yaml").status == 2
    assert call("plan", "r.yaml", "--set", "n=1").status == 0


def test_a_plan_notes_what_limits_a_step(call: Call, workshop: Workshop) -> None:
    """Its timeout, its retries, or why it is left out."""
    steps = (
        shell("a", "true", "timeout: 90, retry: {max: 1}"),
        shell("b", "true", "retry: {max: 2}, depends_on: []"),
        python("c", keys="depends_on: [a, b], when: 1 > 0"),
    )
    workshop.write("r.yaml", recipe(*steps))

    assert call("plan", "r.yaml", "--skip", "c").rows == [
        ["#", "step", "type", "runs", "after", "when", "note", "core-hours"],
        ["1", "a", "shell", "sh -c true", "", "", "timeout 90s, 1 retry", ""],
        ["2", "b", "shell", "sh -c true", "", "", "2 retries", ""],
        ["3", "c", "python", "steps.py:Write", "a, b", "1 > 0", "skip: left out by --skip", ""],
    ]


ROUTED = "operator_key: hpc.dev, resources: {cores: 2, time_limit: 30m}"
ASKING = (
    shell("here", "x"),
    shell("known", "x", f"{ROUTED}, foreach: [1, 2], retry: {{max: 1, grow: {{cores: 2x}}}}"),
    shell("later", "x", f"{ROUTED}, foreach: '${{{{ ctx.known.n_v1 }}}}'"),
    "{name: part, type: recipe, uses: part.yaml}",
    shell("free", "x", "operator_key: hpc.dev"),
)
PART = recipe(shell("s", "x", ROUTED), shell("t", "x", f"{ROUTED}, foreach: '${{{{ ctx.s.n_v1 }}}}'"))


def test_a_plan_shows_the_core_hours_of_each_step_and_of_all(call: Call, workshop: Workshop) -> None:
    """For one attempt at each item and at most; for one item where only the run knows them, and ? without a limit."""
    workshop.write("part.yaml", PART)
    workshop.write("r.yaml", recipe(*ASKING))

    answer = call("plan", "r.yaml")

    assert [row[-1] for row in answer.rows[1:]] == ["", "2 (at most 6)", "1 per item", "1 and more", "?"]
    assert answer.stderr == "3 core-hours (at most 7), not counting later, part/t, free\n"


def test_a_plan_tells_programs_of_core_hours(call: Call, workshop: Workshop) -> None:
    """What is not known is null."""
    workshop.write("part.yaml", PART)
    workshop.write("r.yaml", recipe(*ASKING))

    document = call("plan", "r.yaml", "--json").json

    names = ("core_hours", "core_hours_at_most", "core_hours_per_item")
    assert [tuple(task[name] for name in names) for task in document["tasks"]] == [
        (0.0, 0.0, None),
        (2.0, 6.0, None),
        (None, None, 1.0),
        (1.0, 1.0, None),
        (None, None, None),
    ]
    assert document["core_hours"] == {
        "total": 3.0,
        "at_most": 7.0,
        "without": ["later", "part/t", "free"],
        "budget": None,
    }


def test_a_plan_beyond_the_budget_is_shown_and_refused(call: Call, workshop: Workshop) -> None:
    """So that it is seen which step asks for so much."""
    workshop.write("r.yaml", recipe(shell("a", "x", ROUTED), head="budget: {core_hours: 0.5}\n"))

    answer = call("plan", "r.yaml")

    assert (answer.status, answer.rows[1][-1]) == (3, "1")
    assert answer.stderr.splitlines()[:2] == [
        "1 core-hours; the budget is 0.5",
        "r.yaml:1:22: error[MS217]: the steps ask for at least 1 core-hours, and the budget is 0.5",
    ]


def test_a_plan_of_no_step_is_refused(call: Call, workshop: Workshop) -> None:
    """As a run of none is."""
    workshop.write("r.yaml", recipe(python("a")))

    assert call("plan", "r.yaml", "--only", "").status == 4


def test_scriptlets_of_the_project_come_first(call: Call, workshop: Workshop) -> None:
    """Classes with the first line of what they say, scripts with their first remark."""
    own = 'class Own(BaseScriptlet):\n    """Do it.\n\n    At length.\n    """\n\n\nclass Other:\n    pass\n'
    workshop.write("scriptlets/steps/own.py", own)
    workshop.write("scriptlets/shell/do.sh", "#!/bin/sh\n# Do it in a shell.\n")

    head, first, second, *shipped = call("scriptlets").rows

    assert head == ["module", "class", "what it does"]
    assert first == ["scriptlets.steps.own", "Own", "Do it."]
    assert second == ["scriptlets/shell/do.sh", "", "Do it in a shell."]
    assert "ComputeMedian" in [row[1] for row in shipped]


@pytest.mark.parametrize("content", ["class Own(:\n", "\x00", "class Own(BaseScriptlet):\n  a = " + "(" * 500])
def test_a_file_that_is_not_python_is_passed_over(call: Call, workshop: Workshop, content: str) -> None:
    """The others are listed."""
    workshop.write("scriptlets/broken.py", content)

    answer = call("scriptlets")

    assert (answer.status, answer.stderr) == (0, "")
    assert len(answer.rows) > 5


LINTED = recipe(shell("a", "date", "stdout: free, args: {x: no}"), head="schema: matterstack/recipe/v1\n")


def test_advice_is_no_error(call: Call, workshop: Workshop) -> None:
    """Unless it is to be one; programs read it with its place."""
    workshop.write("r.yaml", LINTED)

    answer = call("lint", "r.yaml", "--json")

    assert (answer.status, call("lint", "r.yaml", "--strict").status) == (0, 3)
    assert [(one["code"], one["file"], one["line"]) for one in answer.json] == [("MS705", "r.yaml", 3)]
    assert "r.yaml:3:63: warning[MS705]: no is 'no' here" in answer.stderr


def test_advice_can_be_left_out(call: Call, workshop: Workshop) -> None:
    """By its code."""
    workshop.write("r.yaml", LINTED)

    answer = call("lint", "r.yaml", "--strict", "--ignore", "MS701,MS705")

    assert (answer.status, answer.stderr) == (0, "nothing to say\n")


def test_no_advice_is_given_on_what_is_invalid(call: Call, workshop: Workshop) -> None:
    """It is to be mended first."""
    workshop.write("r.yaml", "stesp: []\n")

    assert call("lint", "r.yaml").status == 3


def test_an_upgrade_is_shown_and_then_written(call: Call, workshop: Workshop) -> None:
    """And then there is nothing to change."""
    path = workshop.write("r.yaml", recipe(python("a")))

    shown = call("upgrade", "r.yaml").stdout
    before = path.read_text(encoding="utf-8")
    written = call("upgrade", "r.yaml", "--write")

    assert "+schema: matterstack/recipe/v1\n" in shown
    assert "schema" not in before
    assert (written.status, path.read_text(encoding="utf-8")) == (0, f"schema: matterstack/recipe/v1\n{before}")
    assert call("upgrade", "r.yaml").stderr == "r.yaml: nothing to change\n"
