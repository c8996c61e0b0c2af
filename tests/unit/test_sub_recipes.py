"""A step may use another recipe: its steps are tasks of the same run, in a context of their own."""

from __future__ import annotations

import pytest

from orchestrator.runner import retry_run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe

USED = """\
inputs: { n: { type: number }, k: { type: number, default: 2 } }
vars: { twice: "${{ inputs.n * inputs.k }}" }
steps:
- { name: first, type: python, module: ./steps.py, function: Write, args: { own.x_v1: "${{ vars.twice }}" } }
- { name: second, type: python, module: ./steps.py, function: Write, args: { own.y_v1: "${{ ctx.own.x_v1 + 1 }}" } }
outputs: { best_v1: ctx.own.y_v1, state: steps.first.status }
"""
USE = "{name: sub, type: recipe, uses: ./used.yaml, args: {n: 5}%s}"


def use(keys: str = "") -> str:
    """Write a step that uses the other recipe."""
    return USE % (keys and f", {keys}")


def test_a_used_recipe_runs_in_a_context_of_its_own(workshop: Workshop) -> None:
    """What it gives back are its outputs, under the name of the step."""
    workshop.write("used.yaml", USED)
    before = python("before", keys="args: {own.x_v1: 99}")
    after = python("after", keys="args: {a.x_v1: '${{ ctx.sub.best_v1 + ctx.own.x_v1 }}'}")

    ran = workshop.run(recipe(before, use(), after))

    assert list(ran.tasks) == ["before", "sub", "after", "sub/first", "sub/second"]
    assert ran.outcome.context.to_dict() == {
        "a.x_v1": 110,
        "own.x_v1": 99,
        "sub.best_v1": 11,
        "sub.state": "COMPLETED",
    }


def test_its_steps_see_nothing_of_the_other_context(workshop: Workshop) -> None:
    """Neither in expressions nor in their own code, in workers and in this process."""
    peek = "{name: peek, type: python, module: ./peek.py, function: Peek}"
    workshop.write("used.yaml", f"steps: [{peek}]\noutputs: {{seen: ctx.seen.keys_v1}}\n")
    workshop.write(
        "peek.py",
        "from orchestrator import BaseScriptlet\nclass Peek(BaseScriptlet):\n"
        "    def work(self, ctx, params):\n        return {'seen.keys_v1': ctx.keys()}\n",
    )
    text = recipe(python("a", keys="args: {a.x_v1: 1}"), "{name: sub, type: recipe, uses: ./used.yaml}")

    for inline in (True, False):
        ran = workshop.run(text, inline=inline, fresh=True)
        assert ran.outcome.context.get("sub.seen") == []


def test_each_item_can_use_a_recipe(workshop: Workshop) -> None:
    """The outputs are collected by item."""
    workshop.write("used.yaml", USED)
    step = "{name: sub, type: recipe, uses: ./used.yaml, foreach: [1, 2], args: {n: '${{ item }}'}}"

    ran = workshop.run(recipe(step, python("after")))

    assert ran.outcome.context.get("sub.best_v1") == {"1": 3, "2": 5}
    assert "sub[2]/second" in ran.tasks
    assert ran.states == ["COMPLETED"] * 8


def test_recipes_can_be_nested(workshop: Workshop) -> None:
    """Names and contexts are, too."""
    workshop.write("used.yaml", USED)
    workshop.write("middle.yaml", f"steps: [{use()}]\noutputs: {{best: ctx.sub.best_v1}}\n")

    ran = workshop.run(recipe("{name: top, type: recipe, uses: ./middle.yaml}"))

    assert list(ran.tasks) == ["top", "top/sub", "top/sub/first", "top/sub/second"]
    assert ran.outcome.context.to_dict() == {"top.best": 11}


def test_a_failed_step_fails_the_one_that_uses_its_recipe(workshop: Workshop) -> None:
    """The failure shows at its line, in its own file."""
    workshop.write("used.yaml", USED.replace("function: Write", "function: Fail", 1))
    notes = Notes()

    ran = workshop.run(recipe(use(), python("after")), reporter=notes)

    states = {name: str(row.status) for name, row in ran.tasks.items()}
    assert states == {"sub": "FAILED", "after": "BLOCKED", "sub/first": "FAILED", "sub/second": "BLOCKED"}
    assert ran.outcome.step == "sub/first"
    places = [str(ending.problem.place) for ending in notes.endings if ending.problem]
    assert [place.rpartition("/")[2].partition(":")[0] for place in places] == ["used.yaml"]


def test_a_retry_goes_on_inside(workshop: Workshop) -> None:
    """What succeeded there is kept."""
    flaky = "{ name: second, type: python, module: ./steps.py, function: FailFirst, args: {times: 1} }\n"
    used = USED.replace(USED.splitlines()[4] + "\n", f"- {flaky}").replace("ctx.own.y_v1", "ctx.own.x_v1")
    workshop.write("used.yaml", used)
    first = workshop.run(recipe(use(), python("after")))
    assert first.outcome.status is RunState.FAILED

    again = Ran(outcome=retry_run(first.root, DriveOptions(inline=True)))

    assert again.outcome.status is RunState.COMPLETED
    attempts = {name: row.attempt_count for name, row in again.tasks.items()}
    assert attempts == {"sub": 0, "after": 1, "sub/first": 1, "sub/second": 2}
    assert again.outcome.context.get("sub.best_v1") == 10


@pytest.mark.parametrize("cut_at", ["sub/first", "sub/second", "after"])
def test_it_goes_on_after_a_power_cut(workshop: Workshop, cut_at: str) -> None:
    """With the inputs and values that it had."""

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == cut_at:
                super().tell(happening)  # type: ignore[arg-type]

    workshop.write("used.yaml", USED)
    text = recipe(use(), python("after", keys="args: {a.x_v1: '${{ ctx.sub.best_v1 }}'}"))
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=Cut())

    ran = workshop.run(text)

    assert ran.outcome.context.to_dict() == {"a.x_v1": 11, "sub.best_v1": 11, "sub.state": "COMPLETED"}
    assert sum(row.attempt_count for row in ran.tasks.values()) == 4


def test_a_condition_skips_it_whole(workshop: Workshop) -> None:
    """None of its steps is there."""
    workshop.write("used.yaml", USED)

    assert workshop.run(recipe(use("when: 1 > 2"))).states == ["SKIPPED"]


@pytest.mark.parametrize(
    ("args", "reason"),
    [("{n: '${{ ctx.none.x_v1 }}'}", "the context has no key"), ("{n: '${{ run.id }}'}", "expected number")],
)
def test_inputs_that_do_not_fit_fail_the_step(workshop: Workshop, args: str, reason: str) -> None:
    """When they are known."""
    workshop.write("used.yaml", USED)

    ran = workshop.run(recipe(f"{{name: sub, type: recipe, uses: ./used.yaml, args: {args}}}"))

    assert ran.states == ["FAILED"]
    assert reason in ran.reasons[0]


def test_an_output_without_a_value_fails_the_step(workshop: Workshop) -> None:
    """Although its steps succeeded."""
    workshop.write("used.yaml", USED.replace("ctx.own.y_v1, state", "ctx.none.y_v1, state"))

    ran = workshop.run(recipe(use()))

    assert ran.states == ["FAILED", "COMPLETED", "COMPLETED"]
    assert "the context has no key 'none.y_v1'" in ran.reasons[0]


def test_what_is_wrong_with_a_used_recipe_is_found_before_the_run(workshop: Workshop) -> None:
    """With its own file and line, beside what is wrong with the one that uses it."""
    workshop.write("used.yaml", USED.replace("module: ./steps.py", "modul: ./steps.py", 1))
    steps = (use(), "{name: none, type: recipe, uses: ./none.yaml}", python("x", "Gone"))

    problems = workshop.problems(recipe(*steps))

    assert sorted(problem.code for problem in problems) == ["MS101", "MS206", "MS206"]


def test_arguments_are_held_against_the_inputs(workshop: Workshop) -> None:
    """Unknown ones, and those that are missing."""
    workshop.write("used.yaml", USED)

    (missing, unknown) = workshop.problems(recipe("{name: sub, type: recipe, uses: ./used.yaml, args: {m: 5}}"))

    assert unknown.message == "./used.yaml has no input 'm'"
    assert missing.message == "./used.yaml needs the input 'n'"


def test_a_circle_is_found(workshop: Workshop) -> None:
    """Of recipes that use one another, or one itself."""
    workshop.write("a.yaml", "steps: [{name: b, type: recipe, uses: ./b.yaml}]\n")
    workshop.write("b.yaml", "steps: [{name: a, type: recipe, uses: ./a.yaml}]\n")

    (problem,) = workshop.problems(recipe("{name: a, type: recipe, uses: ./a.yaml}"))

    assert problem.code == "MS204"
    assert problem.message == "recipes use one another in a circle: r.yaml -> a.yaml -> b.yaml -> a.yaml"


@pytest.mark.parametrize("key", ["finally", "on_failure"])
def test_what_a_used_recipe_cannot_do_is_refused(workshop: Workshop, key: str) -> None:
    """Never ignored."""
    workshop.write("used.yaml", f"{USED}{key}: [{python('z')}]\n")

    (problem,) = workshop.problems(recipe(use()))

    assert (problem.code, problem.help) == ("MS208", "set it in the recipe that is run")
