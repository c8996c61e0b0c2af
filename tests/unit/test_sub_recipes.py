"""A step may use another recipe: its steps are tasks of the same run, in a context of their own."""

from __future__ import annotations

import pytest

from orchestrator.runner import retry_run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe, shell

OK = 'echo \'{"status": "ok", "outputs": []}\''

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


LAST = """\
steps:
- { name: work, type: python, module: ./steps.py, function: %s, args: { number: 2 } }
- { name: more, type: python, module: ./steps.py, function: Write, args: { more.x_v1: 1 } }
on_failure:
- { name: note, type: python, module: ./steps.py, function: Write, args: { seen.x_v1: "${{ steps.work.status }}" } }
finally:
- { name: off, type: python, module: ./steps.py, function: Write, args: { off.x_v1: 1 } }
- { name: bye, type: python, module: ./steps.py, function: Write, args: { bye.x_v1: 1 } }
outputs: { more: ctx.more.x_v1, off: ctx.off.x_v1 }
"""
SUB = "{name: sub, type: recipe, uses: ./used.yaml}"


def states_of(ran: Ran) -> dict[str, str]:
    """Give the states of all tasks by name."""
    return {name: row.status.value for name, row in ran.tasks.items()}


def test_a_used_recipe_does_what_comes_last(workshop: Workshop) -> None:
    """Before the step that uses it has ended, and what is there for a failure is left out."""
    workshop.write("used.yaml", LAST % "Write")
    notes = Notes()

    ran = workshop.run(recipe(SUB, python("after")), reporter=notes)

    assert notes.started == ["sub/work", "sub/more", "sub/off", "sub/bye", "after"]
    assert ran.tasks["sub/note"].status_reason == "nothing failed"
    assert ran.outcome.context.to_dict() == {"sub.more": 1, "sub.off": 1}


@pytest.mark.parametrize("fail_fast", [True, False])
def test_a_used_recipe_cleans_up_after_a_failure(workshop: Workshop, fail_fast: bool) -> None:
    """In its own context; the first cause is what the run tells, and the run's own last steps come later."""
    workshop.write("used.yaml", LAST % "Fail")
    notes = Notes()
    head = f"finally: [{python('end')}]\n"

    ran = workshop.run(recipe(SUB, python("after"), head=head), reporter=notes, fail_fast=fail_fast)

    assert notes.started == ["sub/work", "sub/note", "sub/off", "sub/bye", "end"]
    assert states_of(ran) == {
        "sub": "FAILED",
        "after": "BLOCKED",
        "end": "COMPLETED",
        "sub/work": "FAILED",
        "sub/more": "BLOCKED",
        "sub/note": "COMPLETED",
        "sub/off": "COMPLETED",
        "sub/bye": "COMPLETED",
    }
    assert (ran.outcome.step, ran.outcome.reason) == ("sub/work", "the exit code is 1, not 0: no luck")
    assert [entry.value_json for entry in ran.history("seen.x_v1")] == ['"FAILED"']


def test_a_failure_beside_it_ends_a_used_recipe_properly(workshop: Workshop) -> None:
    """Its steps are given up; what it does last is done."""
    workshop.write("used.yaml", LAST % "Write")
    steps = (
        "{name: sub, type: recipe, uses: ./used.yaml, depends_on: []}",
        python("x", "Fail", "depends_on: []"),
    )
    notes = Notes()

    ran = workshop.run(recipe(*steps), reporter=notes)

    assert notes.started == ["x", "sub/note", "sub/off", "sub/bye"]
    assert states_of(ran)["sub"] == "FAILED"


def test_an_interrupted_used_recipe_cleans_up_innermost_first(workshop: Workshop) -> None:
    """And once more at its end, when the run has gone on."""
    workshop.write("used.yaml", LAST % "Signal")
    workshop.write("middle.yaml", f"steps: [{SUB}]\nfinally: [{python('mid')}]\n")
    top = "{name: top, type: recipe, uses: ./middle.yaml}"
    text = recipe(top, head=f"finally: [{python('end')}]\n")
    first_notes, second_notes = Notes(), Notes()

    first = workshop.run(text, reporter=first_notes)
    states = states_of(first)
    second = workshop.run(text, reporter=second_notes)

    assert first.outcome.exit_status == 130
    last = ["top/sub/off", "top/sub/bye", "top/mid", "end"]
    assert first_notes.started == ["top/sub/work", *last]
    assert states["top/sub/more"] == "PENDING"
    assert second.outcome.status is RunState.COMPLETED
    assert second.root == first.root
    assert [name for name in second_notes.started if name != "top/sub/work"] == ["top/sub/more", *last]


def test_a_group_among_the_last_waits_when_it_is_done_again(workshop: Workshop) -> None:
    """Its items were made before; they run again behind the steps that now go on, and in their turn."""
    items = python("each", keys="foreach: [1, 2], args: {each.x_v1: '${{ item }}'}")
    used = (LAST % "Signal").replace("finally:\n", f"finally:\n- {python('pre')}\n- {items}\n")
    workshop.write("used.yaml", used)
    notes = Notes()
    first = workshop.run(recipe(SUB), reporter=notes)
    last = ["sub/pre", "sub/each[1]", "sub/each[2]", "sub/off", "sub/bye"]
    assert notes.started == ["sub/work", *last]
    assert first.outcome.status is RunState.PENDING

    notes = Notes()
    second = workshop.run(recipe(SUB), reporter=notes)

    assert [name for name in notes.started if name != "sub/work"] == ["sub/more", *last]
    assert second.outcome.status is RunState.COMPLETED


@pytest.mark.parametrize("cut_at", ["sub/note", "sub/off", "sub/bye"])
def test_a_power_cut_while_it_cleans_up(workshop: Workshop, cut_at: str) -> None:
    """What was cut short is attempted again, and nothing else."""

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == cut_at:
                super().tell(happening)  # type: ignore[arg-type]

    workshop.write("used.yaml", LAST % "Fail")
    with pytest.raises(SystemExit):
        workshop.run(recipe(SUB), reporter=Cut())

    ran = workshop.run(recipe(SUB))

    assert (ran.outcome.step, ran.outcome.reason) == ("sub/work", "the exit code is 1, not 0: no luck")
    counts = {name: row.attempt_count for name, row in ran.tasks.items() if row.attempt_count}
    assert counts == {"sub/work": 1, "sub/note": 1, "sub/off": 1, "sub/bye": 1, cut_at: 2}


def test_a_used_recipe_out_of_time(workshop: Workshop) -> None:
    """Its steps end, what it does last does not, and nothing is tried again."""
    used = f"timeout: 0.3\nsteps:\n- {shell('nap', 'sleep 30', 'retry: {max: 3}')}\n- {python('more')}\n"
    workshop.write("used.yaml", f"{used}finally: [{shell('off', OK)}]\n")
    beside = shell("beside", f"sleep 0.8; {OK}", "depends_on: [], parallel: true")
    use_it = "{name: sub, type: recipe, uses: ./used.yaml, depends_on: []}"

    ran = workshop.run(recipe(use_it, beside, head="max_parallel: 2\n"), inline=False, fail_fast=False)

    assert states_of(ran) == {
        "sub": "FAILED",
        "beside": "COMPLETED",
        "sub/nap": "FAILED",
        "sub/more": "BLOCKED",
        "sub/off": "COMPLETED",
    }
    assert ran.tasks["sub"].status_reason == "sub took more than 0.3 seconds"
    assert ran.tasks["sub/nap"].attempt_count == 1


def test_a_step_limits_the_recipe_that_it_uses(workshop: Workshop) -> None:
    """The lesser limit counts."""
    workshop.write("used.yaml", f"timeout: 60\nsteps:\n- {shell('nap', 'sleep 30')}\n")

    ran = workshop.run(recipe("{name: sub, type: recipe, uses: ./used.yaml, timeout: 0.2}"), inline=False)

    assert ran.tasks["sub"].status_reason == "sub took more than 0.2 seconds"
    assert ran.attempts("sub/nap")[0].status == "TIMEOUT"


def test_a_recipe_used_at_the_end_of_a_run(workshop: Workshop) -> None:
    """Its steps run there, and what it does last too."""
    workshop.write("used.yaml", LAST % "Write")
    notes = Notes()

    ran = workshop.run(recipe(python("a"), head=f"finally: [{SUB}]\n"), reporter=notes)

    assert notes.started == ["a", "sub/work", "sub/more", "sub/off", "sub/bye"]
    assert ran.outcome.status is RunState.COMPLETED


def test_an_allowed_failure_inside_is_none(workshop: Workshop) -> None:
    """The step that uses the recipe succeeds, as the recipe alone would."""
    used = f"steps: [{python('a', 'Fail', 'allow_failure: true')}, {python('b')}]\non_failure: [{python('z')}]\n"
    workshop.write("used.yaml", used)

    ran = workshop.run(recipe(SUB))

    assert states_of(ran) == {
        "sub": "COMPLETED",
        "sub/a": "FAILED",
        "sub/b": "COMPLETED",
        "sub/z": "SKIPPED",
    }
    assert ran.outcome.status is RunState.COMPLETED


@pytest.mark.parametrize(("keys", "state"), [("", "FAILED"), (", foreach: [1, 2]", "COMPLETED")])
def test_a_used_recipe_may_fail(workshop: Workshop, keys: str, state: str) -> None:
    """What fails in it counts there alone; the run goes on, and succeeds, as does a fan-out of which items may fail."""
    workshop.write("bad.yaml", recipe(shell("bad", "exit 1")))
    uses = f"{{name: s, type: recipe, uses: ./bad.yaml, allow_failure: true{keys}}}"

    ran = workshop.run(recipe(uses, shell("after", OK)), inline=False)

    assert (ran.outcome.exit_status, ran.tasks["s"].status, ran.tasks["after"].status) == (0, state, "COMPLETED")


@pytest.mark.parametrize(("value", "count"), [("x", 1), ("3", 0), ("'${{ ctx.a.b_v1 }}'", 0)])
def test_a_literal_argument_fits_the_input(workshop: Workshop, value: str, count: int) -> None:
    """An expression fits whatever it is: only a run knows its value."""
    workshop.write("used.yaml", recipe(shell("u", OK), head="inputs: {n: {type: integer}}\n"))
    text = recipe(f"{{name: s, type: recipe, uses: ./used.yaml, args: {{n: {value}}}}}")

    if count:
        assert [one.message for one in workshop.problems(text)] == [
            "input 'n' of ./used.yaml: expected integer, got 'x'"
        ]
    else:
        assert len(workshop.plan(text).tasks) == 1
