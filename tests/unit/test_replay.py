"""A step of a run is run again, with what it had then, and the run does not notice."""

from __future__ import annotations

import hashlib

import pytest

from orchestrator.errors import UsageError
from orchestrator.replay import debug, replay
from tests.unit.workshop import Ran, Workshop, python, recipe, shell

SAYS = 'echo \'{"status": "ok", "outputs": {"%s": %d}}\''


def digest(ran: Ran) -> str:
    """Give what a run's records are, byte for byte."""
    return hashlib.sha256((ran.root / "state.sqlite").read_bytes()).hexdigest()


def summing(workshop: Workshop) -> str:
    """Write a step that adds to a value of the context, and a recipe that changes that value afterwards."""
    workshop.write(
        "add.py",
        "from orchestrator import BaseScriptlet\n\n\nclass Add(BaseScriptlet):\n"
        "    def work(self, ctx, params):\n"
        "        total = ctx.get('a.x_v1') + params['n']\n"
        "        if total > 5:\n"
        "            raise RuntimeError('too big')\n"
        "        return {'add.sum_v1': total}\n",
    )
    add = "{name: add, type: python, module: ./add.py, args: {n: '${{ inputs.n }}'}}"
    steps = (shell("a", SAYS % ("a.x_v1", 1)), add, shell("later", SAYS % ("a.x_v1", 99)))
    return recipe(*steps, head="inputs: {n: {type: number, default: 1}}\n")


def test_a_step_sees_what_it_saw(workshop: Workshop) -> None:
    """Not what was written later; and no byte of the run changes."""
    ran = workshop.run(summing(workshop))
    before = digest(ran)

    done = replay(ran.root, "add")

    assert done.now == {"add.sum_v1": "2"}
    assert (done.differing, done.verdict.failing) == ([], None)
    assert digest(ran) == before


def test_what_differs_is_named(workshop: Workshop) -> None:
    """The code is the present one."""
    ran = workshop.run(summing(workshop))
    code = (workshop.folder / "add.py").read_text(encoding="utf-8")
    workshop.write("add.py", code.replace("'add.sum_v1': total", "'add.sum_v1': -total"))

    done = replay(ran.root, "add")

    assert (done.then, done.now, done.differing) == ({"add.sum_v1": "2"}, {"add.sum_v1": "-2"}, ["add.sum_v1"])


def test_a_failure_fails_again_until_it_is_mended(workshop: Workshop) -> None:
    """With the inputs of that run."""
    ran = workshop.run(summing(workshop), inputs={"n": 9})
    assert replay(ran.root, "add").verdict.reason == "the exit code is 1, not 0: RuntimeError: too big"
    code = (workshop.folder / "add.py").read_text(encoding="utf-8")
    workshop.write("add.py", code.replace("> 5", "> 50"))

    assert replay(ran.root, "add").now == {"add.sum_v1": "10"}


def test_items_and_steps_of_used_recipes_see_what_is_theirs(workshop: Workshop) -> None:
    """An item its own arguments, a step of a used recipe the context of that."""
    used = recipe(
        python("first", keys="args: {own.x_v1: 5}"), python("second", keys="args: {y.v1: '${{ ctx.own.x_v1 }}'}")
    )
    workshop.write("used.yaml", used)
    each = python("each", keys="foreach: [3, 4], args: {i.x_v1: '${{ item }}'}")
    ran = workshop.run(recipe("{name: sub, type: recipe, uses: ./used.yaml}", each))

    assert replay(ran.root, "sub/second").now == {"y.v1": "5"}
    assert replay(ran.root, "each[4]").now == {"i.x_v1": "4"}


def test_each_attempt_can_be_named(workshop: Workshop) -> None:
    """The last is meant where none is."""
    ran = workshop.run(recipe(python("a", "FailFirst", "args: {times: 1}, retry: {max: 2}")))

    assert [replay(ran.root, "a", index).attempt.attempt_index for index in (None, 1, 2)] == [2, 1, 2]


@pytest.mark.parametrize(
    ("task", "attempt", "message", "hint"),
    [
        ("ad", None, "has no task 'ad'", "did you mean 'add'?"),
        ("later", None, "later was never attempted", "see 'matterstack status'"),
        ("add", 7, "add has no attempt 7", "it has 1 to 1"),
    ],
)
def test_what_is_not_there_is_refused(
    workshop: Workshop, task: str, attempt: int | None, message: str, hint: str
) -> None:
    """With what is there."""
    ran = workshop.run(summing(workshop), inputs={"n": 9})

    with pytest.raises(UsageError) as caught:
        replay(ran.root, task, attempt)

    assert message in caught.value.message
    assert caught.value.hint == hint


def test_the_debugger_is_for_python(workshop: Workshop) -> None:
    """A command has nothing to look into."""
    ran = workshop.run(summing(workshop))

    with pytest.raises(UsageError, match="a is no Python step"):
        debug(ran.root, "a")
