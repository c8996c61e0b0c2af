"""A recipe repeats its steps until a condition holds: a closed loop."""

from __future__ import annotations

import pytest

from orchestrator.plan import Selection
from orchestrator.runner import retry_run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe

COUNT = python("count", keys="args: {n.x_v1: '${{ get(ctx, \"n.x_v1\", 0) + 1 }}'}")
NOTE = python("note", keys="args: {seen.x_v1: '${{ ctx._loop.index_v1 }}'}")


def looping(until: str, most: int = 9, head: str = "") -> str:
    """Write a recipe that counts its rounds."""
    return recipe(COUNT, NOTE, head=f'repeat: {{until: "{until}", max: {most}}}\n{head}')


def test_steps_run_until_the_condition_holds(workshop: Workshop) -> None:
    """Each round is a task of its own, and sees what was written before."""
    ran = workshop.run(looping("ctx.n.x_v1 == 3"))

    assert ran.outcome.status is RunState.COMPLETED
    assert ran.outcome.context.to_dict() == {"_loop.index_v1": 3, "n.x_v1": 3, "seen.x_v1": 3}
    assert list(ran.tasks) == ["count", "note", "count@2", "note@2", "count@3", "note@3"]
    assert [entry.value_json for entry in ran.history("n.x_v1")] == ["1", "2", "3"]


def test_one_round_may_be_enough(workshop: Workshop) -> None:
    """The condition is looked at after each."""
    assert list(workshop.run(looping("True")).tasks) == ["count", "note"]


def test_a_loop_that_does_not_end_fails(workshop: Workshop) -> None:
    """What follows a failure runs; the place is that of the condition."""
    notes = Notes()
    head = "on_failure: [{name: logs, type: python, module: ./steps.py, function: Write}]\n"
    ran = workshop.run(looping("ctx.n.x_v1 > 9", 2, head), reporter=notes)

    assert ran.outcome.status is RunState.FAILED
    assert ran.outcome.reason == "repeat.until is still false after 2 rounds"
    assert ran.tasks["logs"].status == "COMPLETED"
    assert ran.outcome.context.get("n.x_v1") == 2
    settled = notes.told[-1]
    assert getattr(settled, "problem").place.line == 1  # noqa: B009  of one kind of happening


def test_a_condition_without_a_value_fails_the_run(workshop: Workshop) -> None:
    """After the round that it is about."""
    ran = workshop.run(looping("ctx.none.x_v1 > 1"))

    assert (ran.outcome.status, list(ran.tasks)) == (RunState.FAILED, ["count", "note"])
    assert "the context has no key 'none.x_v1'" in ran.outcome.reason


def test_a_failed_round_is_the_last(workshop: Workshop) -> None:
    """And a retry goes on with it."""
    text = recipe(
        COUNT,
        python("flaky", "FailFirst", "args: {times: '${{ 1 if ctx._loop.index_v1 == 1 else 3 }}'}, retry: {max: 1}"),
        head='repeat: {until: "ctx.n.x_v1 == 2", max: 5}\n',
    )
    first = workshop.run(text)
    assert first.outcome.step == "flaky@2" or first.outcome.status is RunState.COMPLETED

    again = Ran(outcome=retry_run(first.root, DriveOptions(inline=True))) if first.outcome.step else first

    assert again.outcome.status is RunState.COMPLETED
    assert again.outcome.context.get("n.x_v1") == 2


@pytest.mark.parametrize("cut_at", ["note", "count@2", "note@3"])
def test_a_loop_goes_on_after_a_power_cut(workshop: Workshop, cut_at: str) -> None:
    """In the round in which it was."""

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == cut_at:
                super().tell(happening)  # type: ignore[arg-type]

    text = looping("ctx.n.x_v1 == 3")
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=Cut())

    ran = workshop.run(text)

    assert ran.outcome.context.to_dict() == {"_loop.index_v1": 3, "n.x_v1": 3, "seen.x_v1": 3}
    assert {name: row.attempt_count for name, row in ran.tasks.items() if row.attempt_count > 1} == {cut_at: 2}


def test_a_fan_out_is_made_anew_in_each_round(workshop: Workshop) -> None:
    """Over what the context holds then."""
    each = python("each", keys="foreach: '${{ range(ctx.n.x_v1) }}', args: {e.x_v1: '${{ item }}'}")
    ran = workshop.run(recipe(COUNT, each, head='repeat: {until: "ctx.n.x_v1 == 2", max: 3}\n'))

    assert [name for name in ran.tasks if "[" in name] == ["each[0]", "each@2[0]", "each@2[1]"]
    assert ran.outcome.context.get("e.x_v1") == {"0": 0, "1": 1}


def test_what_is_left_out_is_left_out_of_every_round(workshop: Workshop) -> None:
    """The selection holds for all of them."""
    ran = workshop.run(looping("ctx.n.x_v1 == 2"), selection=Selection(skip=("note",)))

    assert ran.states == ["COMPLETED", "SKIPPED"] * 2


def test_what_comes_last_comes_once(workshop: Workshop) -> None:
    """After the last round; its writes count over those of the steps."""
    head = "finally: [{name: off, type: python, module: ./steps.py, function: Write, args: {n.x_v1: 9}}]\n"

    ran = workshop.run(looping("ctx.n.x_v1 == 3", 9, head))

    assert ran.tasks["off"].attempt_count == 1
    assert ran.outcome.status is RunState.COMPLETED
    assert ran.outcome.context.get("n.x_v1") == 9
    assert '"n.x_v1": 9' in (ran.root / "context.json").read_text()


SUB = "{name: sub, type: recipe, uses: ./used.yaml}"


def used(until: str, most: int = 9, head: str = "") -> str:
    """Write a recipe to be used that counts its rounds, and one that uses it."""
    return f"{looping(until, most, head)}outputs: {{ n: ctx.n.x_v1, round: ctx._loop.index_v1 }}\n"


def test_a_used_recipe_repeats_its_steps(workshop: Workshop) -> None:
    """In its own context; what it does last comes after the last round, and what waits for it after that."""
    workshop.write("used.yaml", used("ctx.n.x_v1 == 3", head=f"finally: [{python('off')}]\n"))
    notes = Notes()

    ran = workshop.run(recipe(SUB, python("after")), reporter=notes)

    rounds = [f"sub/{name}{suffix}" for suffix in ("", "@2", "@3") for name in ("count", "note")]
    assert notes.started == [*rounds, "sub/off", "after"]
    assert ran.outcome.context.to_dict() == {"sub.n": 3, "sub.round": 3}


def test_items_repeat_each_by_itself(workshop: Workshop) -> None:
    """One may need more rounds than another."""
    text = used("ctx.n.x_v1 == inputs.most", head="inputs: { most: { type: number } }\n")
    workshop.write("used.yaml", text)
    each = "{name: sub, type: recipe, uses: ./used.yaml, foreach: [1, 3], args: { most: '${{ item }}' }}"

    ran = workshop.run(recipe(each))

    assert ran.outcome.context.get("sub.round") == {"1": 1, "3": 3}


@pytest.mark.parametrize("cut_at", ["sub/note", "sub/count@2", "sub/note@2", "sub/off", "after"])
def test_a_used_loop_goes_on_after_a_power_cut(workshop: Workshop, cut_at: str) -> None:
    """In the round where it was."""

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == cut_at:
                super().tell(happening)  # type: ignore[arg-type]

    workshop.write("used.yaml", used("ctx.n.x_v1 == 3", head=f"finally: [{python('off')}]\n"))
    text = recipe(SUB, python("after"))
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=Cut())

    ran = workshop.run(text)

    assert ran.outcome.context.to_dict() == {"sub.n": 3, "sub.round": 3}
    assert sum(row.attempt_count for row in ran.tasks.values()) == 9


def test_a_used_loop_that_does_not_end_fails(workshop: Workshop) -> None:
    """What is there for a failure runs, in that recipe and in the one that uses it."""
    logs = "on_failure: [{name: logs, type: python, module: ./steps.py, function: Write}]\n"
    workshop.write("used.yaml", used("ctx.n.x_v1 > 9", 2, logs))

    ran = workshop.run(recipe(SUB, head=logs))

    assert ran.tasks["sub"].status_reason == "repeat.until is still false after 2 rounds"
    assert (ran.tasks["sub/logs"].status, ran.tasks["logs"].status) == ("COMPLETED", "COMPLETED")
    assert ran.outcome.reason == "repeat.until is still false after 2 rounds"


def test_a_failed_round_of_a_used_recipe_is_tried_again(workshop: Workshop) -> None:
    """A retry goes on with it, and what it does last is done once more."""
    flaky = "{name: flaky, type: python, module: ./steps.py, function: FailFirst, args: { times: 1 }}"
    head = f"repeat: {{until: 'ctx._loop.index_v1 == 2', max: 3}}\nfinally: [{python('off')}]\n"
    workshop.write("used.yaml", recipe(flaky, head=head))
    first = workshop.run(recipe(SUB))
    assert first.outcome.status is RunState.FAILED

    again = Ran(outcome=retry_run(first.root, DriveOptions(inline=True)))

    assert again.outcome.status is RunState.COMPLETED
    counts = {name: row.attempt_count for name, row in again.tasks.items()}
    assert counts == {"sub": 0, "sub/flaky": 2, "sub/off": 2, "sub/flaky@2": 1}
