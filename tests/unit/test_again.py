"""What failed, or what is asked for, is run again in the same run; what succeeded is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.earlier import FAILED_LAST, LAST_FAILED
from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.plan import Selection
from orchestrator.runner import rerun_task, retry_run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from tests.unit.workshop import PowerCut, Ran, Workshop, python, recipe, shell

INLINE = DriveOptions(inline=True)
OUTSIDE = DriveOptions()
OK = 'echo \'{"status": "ok", "outputs": []}\''


def attempts(ran: Ran) -> dict[str, int]:
    """Give how often each task was attempted."""
    return {name: row.attempt_count for name, row in ran.tasks.items()}


def test_a_retry_runs_what_failed_and_what_waited(workshop: Workshop) -> None:
    """What succeeded is not run again; the run keeps its name."""
    text = recipe(python("a"), python("b", "FailFirst", "args: {times: 1}"), python("c"))
    first = workshop.run(text)
    assert first.states == ["COMPLETED", "FAILED", "BLOCKED"]

    again = Ran(outcome=retry_run(first.root, INLINE))

    assert again.root == first.root
    assert again.outcome.status is RunState.COMPLETED
    assert attempts(again) == {"a": 1, "b": 2, "c": 1}


def test_a_retry_has_all_its_attempts_again(workshop: Workshop) -> None:
    """Failures from before count no more."""
    text = recipe(python("a", "FailFirst", "args: {times: 3}, retry: {max: 1}"))
    first = workshop.run(text)

    again = Ran(outcome=retry_run(first.root, INLINE))

    assert again.states == ["COMPLETED"]
    assert attempts(again) == {"a": 4}


def test_a_retry_runs_failed_items_alone(workshop: Workshop) -> None:
    """What the others wrote is collected together with theirs."""
    command = 'test -f warm || test $ITEM != 2 || exit 1; echo "{\\"status\\": \\"ok\\", \\"n\\": $ITEM}"'
    keys = "foreach: [1, 2, 3], env: {ITEM: '${{ item }}'}, save: {n.x_v1: result.n}"
    first = workshop.run(recipe(shell("each", command, keys), python("after")), inline=False, fail_fast=False)
    assert first.outcome.status is RunState.FAILED
    workshop.write("warm", "")

    again = Ran(outcome=retry_run(first.root, OUTSIDE))

    assert attempts(again) == {"each": 0, "after": 1, "each[1]": 1, "each[2]": 2, "each[3]": 1}
    assert again.outcome.context.get("n.x_v1") == {"1": 1, "2": 2, "3": 3}


def test_a_fan_out_that_could_not_be_made_is_made_by_a_retry(workshop: Workshop) -> None:
    """It has no items yet."""
    first = workshop.run(recipe(python("each", keys="foreach: '${{ ctx.none.x_v1 }}'")))

    again = Ran(outcome=retry_run(first.root, INLINE))

    assert again.states == ["FAILED"]
    assert attempts(again) == {"each": 2}


def test_where_nothing_failed_there_is_nothing_to_retry(workshop: Workshop) -> None:
    """The run stays as it is."""
    ran = workshop.run(recipe(python("a")))

    with pytest.raises(UsageError, match="nothing failed"):
        retry_run(ran.root, INLINE)

    assert ran.states == ["COMPLETED"]


def test_a_task_is_run_again_by_its_name(workshop: Workshop) -> None:
    """Alone; what depends on it keeps what it has."""
    text = recipe(python("a", "Process", "args: {key: a.pid_v1}"), python("b"))
    first = workshop.run(text)

    again = Ran(outcome=rerun_task(first.root, "a", INLINE))

    assert attempts(again) == {"a": 2, "b": 1}
    assert again.outcome.status is RunState.COMPLETED


def test_what_depends_on_it_is_run_again_where_that_is_asked_for(workshop: Workshop) -> None:
    """Directly, or through others; what comes last too."""
    finally_ = "finally: [{name: off, type: python, module: ./steps.py, function: Write}]\n"
    steps = (python("a"), python("b"), python("c", keys="depends_on: [a]"), python("d", keys="depends_on: []"))
    first = workshop.run(recipe(*steps, head=finally_))

    again = Ran(outcome=rerun_task(first.root, "b", INLINE, recursive=True))
    assert attempts(again) == {"a": 1, "b": 2, "c": 1, "d": 1, "off": 2}
    again = Ran(outcome=rerun_task(first.root, "a", INLINE, recursive=True))

    assert attempts(again) == {"a": 2, "b": 3, "c": 2, "d": 1, "off": 3}


def test_an_item_is_run_again_by_its_name(workshop: Workshop) -> None:
    """What its step collects is collected anew."""
    text = recipe(python("each", keys="foreach: [1, 2], args: {n.x_v1: '${{ item }}'}"), python("b"))
    first = workshop.run(text)

    again = Ran(outcome=rerun_task(first.root, "each[2]", INLINE))

    assert attempts(again) == {"each": 0, "b": 1, "each[1]": 1, "each[2]": 2}
    assert again.outcome.context.get("n.x_v1") == {"1": 1, "2": 2}


def test_a_fan_out_is_run_again_with_its_items(workshop: Workshop) -> None:
    """With all of them."""
    first = workshop.run(recipe(python("each", keys="foreach: [1, 2], args: {n.x_v1: '${{ item }}'}")))

    again = Ran(outcome=rerun_task(first.root, "each", INLINE))

    assert attempts(again) == {"each": 0, "each[1]": 2, "each[2]": 2}


def test_what_an_earlier_attempt_wrote_counts_no_more(workshop: Workshop) -> None:
    """A key that the new attempt does not write is gone."""
    workshop.write("steps2.py", STEPS)
    step = "{name: a, type: python, module: ./steps2.py, function: Once}"
    first = workshop.run(recipe(step))
    assert set(first.outcome.context) == {"once.x_v1", "always.x_v1"}

    again = Ran(outcome=rerun_task(first.root, "a", INLINE))

    assert set(again.outcome.context) == {"always.x_v1"}
    assert [entry.rolled_back for entry in again.history("once.x_v1")] == [True]


STEPS = """
from pathlib import Path
from orchestrator import BaseScriptlet

class Once(BaseScriptlet):
    def work(self, ctx, params):
        if Path("once").exists():
            return {"always.x_v1": 2}
        Path("once").touch()
        return {"once.x_v1": 1, "always.x_v1": 1}
"""


def test_a_task_is_run_again_although_another_has_failed(workshop: Workshop) -> None:
    """The failure of before stops nothing; the run has failed all the same."""
    first = workshop.run(recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "Fail")))

    again = Ran(outcome=rerun_task(first.root, "a", INLINE))

    assert again.states == ["COMPLETED", "FAILED"]
    assert attempts(again) == {"a": 2, "b": 1}
    assert (again.outcome.status, again.outcome.step) == (RunState.FAILED, "b")


def test_an_unknown_task_is_refused(workshop: Workshop) -> None:
    """With the one that was meant."""
    ran = workshop.run(recipe(python("relax")))

    with pytest.raises(UsageError, match="has no task 'relx'") as caught:
        rerun_task(ran.root, "relx", INLINE)

    assert caught.value.hint == "did you mean 'relax'?"


def test_the_failed_steps_of_the_last_run_can_be_selected(workshop: Workshop) -> None:
    """A new run of these alone, with the values of that one."""
    text = recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "FailFirst", "args: {times: 1}"), python("c"))
    first = workshop.run(text)

    second = workshop.run(text, selection=Selection(only=(FAILED_LAST,)))

    assert second.root != first.root
    assert second.states == ["SKIPPED", "COMPLETED", "COMPLETED"]
    assert second.outcome.context.get("a.x_v1") == 1
    with pytest.raises(NothingSelectedError, match="nothing failed in run"):
        workshop.run(text, selection=Selection(only=(FAILED_LAST,)))


def test_the_failed_steps_of_the_last_run_that_failed_can_be_selected(workshop: Workshop) -> None:
    """Runs that ended well since are passed by."""
    again = Selection(only=(LAST_FAILED,))
    fails = recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "FailFirst", "args: {times: 1}"))
    with pytest.raises(UsageError, match="there is no earlier run that it names"):
        workshop.run(fails, selection=again)
    workshop.run(fails)
    workshop.run(recipe(python("a", keys="args: {a.x_v1: 2}"), python("b")))

    ran = workshop.run(fails, selection=again)

    assert ran.states == ["SKIPPED", "COMPLETED"]
    assert ran.outcome.context.get("a.x_v1") == 1


class _CutAt(PowerCut):
    """Ends the program when an attempt at one task has begun."""

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self._task_id = task_id

    def tell(self, happening: object) -> None:
        """Wait for that task."""
        if getattr(happening, "task_id", "") == self._task_id:
            super().tell(happening)  # type: ignore[arg-type]


def cut(workshop: Workshop, text: str, task_id: str) -> Path:
    """Run a recipe until a task has begun, and give the run's directory."""
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=_CutAt(task_id))
    return workshop.runs()[-1]


def test_a_changed_fan_out_runs_again_with_its_items(workshop: Workshop) -> None:
    """When the change is accepted."""
    each = "foreach: [1, 2], args: {{n.x_v1: {}}}"
    root = cut(workshop, recipe(python("each", keys=each.format(1)), python("b")), "b")
    workshop.write("r.yaml", recipe(python("each", keys=each.format(2)), python("b")))

    ran = workshop.resume(root, accept_changes=True)

    assert ran.outcome.context.get("n.x_v1") == {"1": 2, "2": 2}
    assert attempts(ran) == {"each": 0, "b": 2, "each[1]": 2, "each[2]": 2}


def test_a_changed_used_recipe_runs_again(workshop: Workshop) -> None:
    """With the steps it had; other steps are another run."""
    used = "steps: [{}]\noutputs: {{n: ctx.n.x_v1}}\n"
    workshop.write("used.yaml", used.format(python("x", keys="args: {n.x_v1: 1}")))
    root = cut(workshop, recipe("{name: sub, type: recipe, uses: ./used.yaml}", python("b")), "b")
    workshop.write("used.yaml", used.format(python("y", keys="args: {n.x_v1: 1}")))
    with pytest.raises(UsageError, match="the steps of the recipe that 'sub' uses changed"):
        workshop.resume(root, accept_changes=True)
    workshop.write("used.yaml", used.format(python("x", keys="args: {n.x_v1: 2}")))

    ran = workshop.resume(root, accept_changes=True)

    assert ran.outcome.context.to_dict() == {"sub.n": 2}
    assert attempts(ran)["sub/x"] == 2


def test_a_step_that_became_another_kind_is_refused(workshop: Workshop) -> None:
    """Its tasks could not be told apart."""
    root = cut(workshop, recipe(python("each", keys="foreach: [1, 2]"), python("b")), "b")
    workshop.write("r.yaml", recipe(python("each"), python("b")))

    with pytest.raises(UsageError, match="'each' has begun and changed into another kind of step"):
        workshop.resume(root, accept_changes=True)


COUNTED = 'echo "{\\"status\\": \\"ok\\", \\"outputs\\": {\\"a.v_v1\\": $(cat v.txt)}}"'


def test_a_rerun_goes_on_within_a_used_recipe(workshop: Workshop) -> None:
    """What depends on the task there runs again, and what depends on the step outside."""
    workshop.write("v.txt", "2")
    inner = recipe(
        shell("a", COUNTED), shell("b", OK, "save: {b.v_v1: ctx.a.v_v1}"), head="outputs: {r_v1: ctx.b.v_v1}\n"
    )
    workshop.write("inner.yaml", inner)
    after = shell("after", OK, "save: {after.v_v1: ctx.s.r_v1}")
    ran = workshop.run(recipe("{name: s, type: recipe, uses: ./inner.yaml}", after), inline=False)
    workshop.write("v.txt", "7")

    again = Ran(outcome=rerun_task(ran.root, "s/a", recursive=True))

    assert again.outcome.context.to_dict() == {"s.r_v1": 7, "after.v_v1": 7}
    assert {name: row.attempt_count for name, row in again.tasks.items()} == {"s": 0, "after": 2, "s/a": 2, "s/b": 2}


@pytest.mark.parametrize(
    ("task", "counts"), [("h", [2, 2, 2, 2, 2, 2]), ("h@2", [1, 1, 2, 2, 2, 2]), ("c@3", [1, 1, 1, 1, 1, 2])]
)
def test_a_rerun_goes_on_in_later_rounds(workshop: Workshop, task: str, counts: list[int]) -> None:
    """Each sees what those before it wrote."""
    steps = [
        shell("h", OK, "save: {h.v_v1: \"get(ctx, 'c.v_v1', 0) + 1\"}"),
        shell("c", OK, "save: {c.v_v1: ctx.h.v_v1}"),
    ]
    ran = workshop.run(recipe(*steps, head="repeat: {until: ctx.c.v_v1 >= 3, max: 3}\n"), inline=False)

    again = Ran(outcome=rerun_task(ran.root, task, recursive=True))

    assert [row.attempt_count for row in again.tasks.values()] == counts
    assert again.outcome.context["c.v_v1"] == 3


def test_a_later_round_that_runs_again_waits_for_the_one_before(workshop: Workshop) -> None:
    """As it did the first time, though it is known from the beginning now, and nothing says so in the recipe."""
    steps = [
        shell("h", OK, "depends_on: [], parallel: true, save: {h.v_v1: \"get(ctx, 'c.v_v1', 0) + 1\"}"),
        shell("c", OK, "depends_on: [h], parallel: true, save: {c.v_v1: ctx.h.v_v1}"),
    ]
    ran = workshop.run(recipe(*steps, head="repeat: {until: ctx.c.v_v1 >= 3, max: 3}\n"), inline=False)

    again = Ran(outcome=rerun_task(ran.root, "h", DriveOptions(jobs=4), recursive=True))

    begun = [row.created_at for task in ("h", "c", "h@2", "c@2", "h@3", "c@3") for row in again.attempts(task)[1:]]
    assert begun == sorted(begun)


def test_a_run_that_failed_by_its_outputs_goes_on(workshop: Workshop) -> None:
    """No step of it failed."""
    text = recipe(shell("a", OK), head="outputs: {x: ctx.a.n_v1}\n")
    ran = workshop.run(text, inline=False)
    assert (ran.outcome.exit_status, ran.states) == (1, ["COMPLETED"])

    again = Ran(outcome=retry_run(ran.root))

    assert (again.outcome.exit_status, again.tasks["a"].attempt_count) == (1, 1)
