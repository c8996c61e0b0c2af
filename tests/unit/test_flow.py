"""Steps side by side, fan-outs and what comes last, as runs of this process and its workers record them."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe, shell

OK = 'echo \'{"status": "ok", "outputs": []}\''


def says(**outputs: int) -> str:
    """Give a command that writes values under ``name.value_v1``."""
    pairs = ", ".join(f'"{name}.value_v1": {value}' for name, value in outputs.items())
    return f'echo \'{{"status": "ok", "outputs": {{{pairs}}}}}\''


def context_of(ran: Ran) -> str:
    """Give the context as its file has it."""
    return (ran.root / "context.json").read_text(encoding="utf-8")


def event_kinds(ran: Ran, task_id: str) -> list[str]:
    """Give what happened to one task, in order."""
    with reading(ran.root) as database:
        return [event.kind for event in iterate_events(database) if f'"{task_id}"' in event.payload_json]


@pytest.mark.parametrize("on_conflict", ["fail", "last_write_wins"])
def test_timing_changes_nothing(workshop: Workshop, on_conflict: str) -> None:
    """Whichever step takes longest, fifty times: context, states and the events of each task are the same."""
    dice = random.Random(7)  # noqa: S311  no secret
    found = set()
    for _ in range(50):
        naps = [dice.choice((0, 0.02, 0.06)) for _ in range(3)]
        steps = [
            shell(name, f"sleep {nap}; {says(**{name: place, 'shared': place})}", "parallel: true")
            for place, (name, nap) in enumerate(zip("abc", naps, strict=True))
        ]
        text = recipe(*steps, python("d"), head=f"on_conflict: {on_conflict}\nmax_parallel: 3\n")
        ran = workshop.run(text, inline=False, fresh=True)
        events = tuple(tuple(event_kinds(ran, name)) for name in "abcd")
        found.add((context_of(ran), tuple(ran.states), tuple(ran.reasons), events))

    ((context, states, reasons, _),) = found
    if on_conflict == "fail":
        assert states == ("COMPLETED", "FAILED", "FAILED", "BLOCKED")
        assert reasons[1] == "wrote 'shared.value_v1', which a beside it wrote too"
    else:
        assert states == ("COMPLETED",) * 4
        assert '"shared.value_v1": 2' in context


def test_steps_that_do_not_say_so_take_turns(workshop: Workshop) -> None:
    """Also where the graph would let them run at once."""
    command = f"mkdir busy && sleep 0.1 && rmdir busy && {OK}"
    steps = [shell(name, command, "depends_on: []") for name in "abc"]

    assert workshop.run(recipe(*steps), inline=False, jobs=3).states == ["COMPLETED"] * 3


def test_steps_that_say_so_run_at_once(workshop: Workshop) -> None:
    """Each waits until the other is there."""
    meet = "touch {0}; for i in $(seq 3000); do test -f {1} && break; sleep 0.02; done; test -f {1} && "
    steps = [shell(own, meet.format(own, other) + OK, "parallel: true") for own, other in ("ab", "ba")]

    assert workshop.run(recipe(*steps), inline=False, jobs=2).states == ["COMPLETED"] * 2


def test_a_lock_is_held_by_one_step_at_a_time(workshop: Workshop) -> None:
    """Of a fan-out too."""
    command = f"mkdir busy && sleep 0.05 && rmdir busy && {OK}"
    keys = "foreach: [1, 2, 3, 4], locks: [furnace]"

    assert workshop.run(recipe(shell("a", command, keys)), inline=False, jobs=4).states == ["COMPLETED"] * 5


def test_items_are_collected_by_id_in_list_order(workshop: Workshop) -> None:
    """What one of them wrote is not seen by the others."""
    keys = "foreach: [Cu, Ni], args: {e.x_v1: '${{ item }}'}, success: {expect: [\"ctx.e.x_v1 == item\"]}"
    ran = workshop.run(recipe(python("relax", keys=keys), python("sum", keys="when: len(ctx.e.x_v1) == 2")))

    assert ran.outcome.context.get("e.x_v1") == {"Cu": "Cu", "Ni": "Ni"}
    assert ran.tasks["relax[Ni]"].status == "COMPLETED"
    assert ran.states == ["COMPLETED"] * 4


def test_a_fan_out_over_what_only_a_run_knows(workshop: Workshop) -> None:
    """The list may come from the context."""
    first = python("list", keys="args: {found.names_v1: [a, b, c]}")
    each = python("each", keys="foreach: '${{ ctx.found.names_v1 }}', args: {each.n_v1: 1}")

    ran = workshop.run(recipe(first, each))

    assert [name for name in ran.tasks if "[" in name] == ["each[a]", "each[b]", "each[c]"]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("foreach: '${{ ctx.none.names_v1 }}'", "the context has no key 'none.names_v1'"),
        ("foreach: [1, '1']", "two items of foreach have the id '1'"),
        ("foreach: '${{ run.id }}'", "foreach needs a list"),
        ("matrix: {a: '${{ run.id }}'}", "matrix.a needs a list"),
    ],
)
def test_a_fan_out_that_cannot_be_made_fails_at_its_place(workshop: Workshop, keys: str, reason: str) -> None:
    """The run ends in order."""
    notes = Notes()
    ran = workshop.run(recipe(python("each", keys=keys)), reporter=notes)

    assert ran.states == ["FAILED"]
    assert reason in ran.reasons[0]
    (ending,) = notes.endings
    assert ending.problem is not None
    assert ending.problem.place is not None
    assert ending.problem.place.line == 2


def test_an_empty_list_is_done_at_once(workshop: Workshop) -> None:
    """The step has succeeded; what depends on it runs."""
    assert workshop.run(recipe(python("each", keys="foreach: []"), python("b"))).states == ["COMPLETED"] * 2


def test_a_condition_counts_for_the_step_or_for_each_item(workshop: Workshop) -> None:
    """Where it names the item, each has its own."""
    whole = python("whole", keys="foreach: '${{ ctx.none.x_v1 }}', when: \"1 > 2\"")
    each = python("each", keys="foreach: [1, 2], when: item > 1, args: {n.x_v1: '${{ item }}'}")

    ran = workshop.run(recipe(whole, each))

    assert {name: row.status for name, row in ran.tasks.items()} == {
        "whole": "SKIPPED",
        "each": "COMPLETED",
        "each[1]": "SKIPPED",
        "each[2]": "COMPLETED",
    }
    assert ran.outcome.context.get("n.x_v1") == {"2": 2}


def test_a_failed_item_fails_its_step(workshop: Workshop) -> None:
    """With --keep-going the other items run."""
    command = f"test $ITEM != 2 && {OK}"
    step = shell("each", command, "foreach: [1, 2, 3], env: {ITEM: '${{ item }}'}")

    ran = workshop.run(recipe(step, python("after")), inline=False, fail_fast=False)

    assert ran.states == ["FAILED", "BLOCKED", "COMPLETED", "FAILED", "COMPLETED"]
    assert ran.reasons[0] == "1 of 3 items failed or were not started"


def test_failures_of_items_may_be_allowed(workshop: Workshop) -> None:
    """Then what the others wrote is collected."""
    keys = "foreach: [1, 2], allow_failure: true, args: {n.x_v1: '${{ 1 / (item - 1) }}'}"

    ran = workshop.run(recipe(python("each", keys=keys), python("after")))

    assert ran.outcome.status is RunState.COMPLETED
    assert ran.outcome.context.get("n.x_v1") == {"2": 1.0}


def test_a_fan_out_goes_on_after_a_power_cut(workshop: Workshop) -> None:
    """Items that ended are not run again."""
    text = recipe(python("each", keys="foreach: [1, 2, 3], args: {n.x_v1: '${{ item }}'}"))
    for _ in range(3):
        with pytest.raises(SystemExit):
            workshop.run(text, reporter=PowerCut())

    ran = workshop.run(text)

    assert ran.outcome.context.get("n.x_v1") == {"1": 1, "2": 2, "3": 3}
    assert [len(ran.attempts(f"each[{item}]")) for item in (1, 2, 3)] == [4, 1, 1]


def test_what_a_step_saves_becomes_part_of_the_context(workshop: Workshop) -> None:
    """From its envelope, from a file, and before its success rules are judged."""
    workshop.write("out/r.json", '{"fit": {"slopes": [1.5, 2.5]}}')
    command = 'echo \'{"status": "ok", "outputs": [], "energy": -3}\''
    save = "{a.e_v1: result.energy * 2, a.s_v1: 'out/r.json:fit.slopes[1]'}"
    step = shell("a", command, f"save: {save}, success: {{expect: ['ctx.a.e_v1 == -6']}}")

    ran = workshop.run(recipe(step), inline=False)

    assert ran.outcome.context.to_dict() == {"a.e_v1": -6, "a.s_v1": 2.5}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("result.none", "save: expression 'result.none'"),
        ("out/none.json:a", "save: cannot read 'out/none.json': no such file or directory"),
        ("r.json:fit.none", "save: r.json:fit.none: there is no 'none'"),
    ],
)
def test_what_cannot_be_saved_fails_the_step(workshop: Workshop, source: str, reason: str) -> None:
    """Nothing of it is kept."""
    workshop.write("r.json", '{"fit": {}}')

    ran = workshop.run(recipe(shell("a", OK, f"save: {{a.x_v1: '{source}'}}")), inline=False)

    assert ran.states == ["FAILED"]
    assert reason in ran.reasons[0]


def test_outputs_are_the_results_of_a_recipe(workshop: Workshop) -> None:
    """The result line shows them."""
    text = recipe(python("a", keys="args: {a.x_v1: 3}"), head="outputs: {best: ctx.a.x_v1 + 1}\n")

    assert workshop.run(text).outcome.to_json()["outputs"] == {"best": 4}


def test_an_output_without_a_value_fails_the_run(workshop: Workshop) -> None:
    """Its place is named."""
    notes = Notes()
    ran = workshop.run(recipe(python("a"), head="outputs: {best: ctx.none.x_v1}\n"), reporter=notes)

    assert (ran.outcome.status, ran.outcome.exit_status) == (RunState.FAILED, 1)
    assert "outputs.best" in ran.outcome.reason
    assert ran.states == ["COMPLETED"]


ENDS = """\
on_failure:
- {name: logs, type: python, module: ./steps.py, function: Write, args: {logs.kept_v1: 1}}
finally:
- {name: off, type: python, module: ./steps.py, function: Fail}
- {name: door, type: python, module: ./steps.py, function: Write, args: {door.shut_v1: 1}}
"""


def test_after_a_failure_comes_all_that_follows(workshop: Workshop) -> None:
    """A failure there hides the first cause from nobody."""
    ran = workshop.run(recipe(python("a", "Fail"), python("b"), head=ENDS))

    assert ran.states == ["FAILED", "BLOCKED", "COMPLETED", "FAILED", "COMPLETED"]
    assert ran.outcome.step == "a"
    assert set(ran.outcome.context) == {"logs.kept_v1", "door.shut_v1"}


def test_a_power_cut_behind_a_failure_at_the_end(workshop: Workshop) -> None:
    """What comes after it is done when the run goes on."""

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == "door":
                super().tell(happening)  # type: ignore[arg-type]

    text = recipe(python("a"), head=ENDS)
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=Cut())

    ran = workshop.run(text)

    assert ran.states == ["COMPLETED", "SKIPPED", "FAILED", "COMPLETED"]
    assert [len(ran.attempts(name)) for name in ("off", "door")] == [1, 2]


def test_a_failure_at_the_end_fails_the_run(workshop: Workshop) -> None:
    """What follows a failure of a step is skipped."""
    ran = workshop.run(recipe(python("a"), head=ENDS))

    assert ran.states == ["COMPLETED", "SKIPPED", "FAILED", "COMPLETED"]
    assert (ran.outcome.status, ran.outcome.step) == (RunState.FAILED, "off")


def test_an_interrupted_run_cleans_up_and_does_so_again_at_its_end(workshop: Workshop) -> None:
    """What was done last is done a second time when the run has gone on."""
    head = ENDS.replace("Fail", "Write")
    text = recipe(python("a", "Signal", f"args: {{number: {signal.SIGTERM.value}}}"), python("b"), head=head)

    first = workshop.run(text)
    assert first.outcome.status is RunState.PENDING
    assert first.states == ["PENDING", "PENDING", "PENDING", "COMPLETED", "COMPLETED"]
    second = workshop.run(text)

    assert second.root == first.root
    assert second.states == ["COMPLETED", "COMPLETED", "SKIPPED", "COMPLETED", "COMPLETED"]
    assert [len(second.attempts(name)) for name in ("a", "b", "off")] == [2, 1, 2]


def test_a_run_out_of_time_ends_its_steps(workshop: Workshop) -> None:
    """They are told to end, what follows a failure runs, and the exit status says why."""
    text = recipe(shell("a", "sleep 60", "retry: {max: 3}"), python("b"), head=f"timeout: 1\n{ENDS}")

    ran = workshop.run(text, inline=False)

    assert ran.states == ["FAILED", "BLOCKED", "COMPLETED", "FAILED", "COMPLETED"]
    assert ran.outcome.exit_status == 124
    assert ran.outcome.reason == "the run took more than 1 seconds"
    assert [attempt.status for attempt in ran.attempts("a")] == ["TIMEOUT"]


@pytest.mark.parametrize("inline", [True, False])
def test_a_step_says_where_it_runs(workshop: Workshop, inline: bool) -> None:
    """It wins over the defaults, these over the recipe, and all over whoever runs it."""
    steps = [
        python("a", "Process", "args: {key: a.pid_v1}, isolation: inline"),
        python("b", "Process", "args: {key: b.pid_v1}, isolation: worker"),
        python("c", "Process", "args: {key: c.pid_v1}"),
    ]
    for head, own in (
        ("", inline),
        ("isolation: worker\n", False),
        ("isolation: worker\ndefaults: {isolation: inline}\n", True),
    ):
        ran = workshop.run(recipe(*steps, head=head), inline=inline, fresh=True)
        here = {key: pid == os.getpid() for key, pid in ran.outcome.context.to_dict().items()}
        assert here == {"a.pid_v1": True, "b.pid_v1": False, "c.pid_v1": own}


def test_a_finished_fan_out_is_audited(workshop: Workshop, tmp_path: Path) -> None:
    """Its rows hold against the events also when the run goes on later."""
    del tmp_path
    text = recipe(python("each", keys="foreach: [1, 2], args: {n.x_v1: 1}"), python("b"))
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=_CutAt("b"))

    assert workshop.run(text).states == ["COMPLETED"] * 4


class _CutAt(PowerCut):
    """Ends the program when an attempt at one task has begun."""

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self._task_id = task_id

    def tell(self, happening: object) -> None:
        """Wait for that task."""
        if getattr(happening, "task_id", "") == self._task_id:
            super().tell(happening)  # type: ignore[arg-type]


def test_a_run_pauses_where_it_is_told_to(workshop: Workshop) -> None:
    """Nothing that comes last is run; what runs is waited for, and the run goes on from there."""
    steps = (python("a", keys="args: {a.x_v1: 1}"), python("b"), python("c"))
    text = recipe(*steps, head=f"finally: [{python('end')}]\n")
    notes = Notes()

    first = workshop.run(text, break_at=("b",), reporter=notes)
    second = workshop.run(text, break_at=("end",))
    third = workshop.run(text)

    assert (first.outcome.exit_status, first.outcome.reason) == (5, "paused before b")
    assert first.outcome.context.to_dict() == {"a.x_v1": 1}
    assert notes.started == ["a"]
    assert second.outcome.reason == "paused before end"
    assert (third.root, third.outcome.status) == (first.root, RunState.COMPLETED)
    assert [row.attempt_count for row in third.tasks.values()] == [1, 1, 1, 1]


@pytest.mark.parametrize(("name", "started"), [("each", ["a"]), ("each[2]", ["a", "each[1]"])])
def test_a_run_pauses_before_a_fan_out_or_an_item(workshop: Workshop, name: str, started: list[str]) -> None:
    """Whichever is named."""
    notes = Notes()

    ran = workshop.run(recipe(python("a"), python("each", keys="foreach: [1, 2, 3]")), break_at=(name,), reporter=notes)

    assert notes.started == started
    assert ran.outcome.reason == f"paused before {name}"


def test_a_pause_before_a_step_that_is_not_there_begins_no_run(workshop: Workshop) -> None:
    """The name that was meant is suggested."""
    with pytest.raises(UsageError) as caught:
        workshop.run(recipe(python("alpha")), break_at=("alfa",))

    assert (caught.value.message, caught.value.hint) == (
        "--break-at: the recipe has no step 'alfa'",
        "did you mean 'alpha'?",
    )
    assert list(workshop.folder.glob("**/state.sqlite")) == []
