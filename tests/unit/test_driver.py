"""The driver runs what is due, records what came of it, and only then says so."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.progress import Happening, RunBegun, RunSettled, TaskEnded, TaskStarted
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.database import reading
from orchestrator.store.events import chain_fault
from orchestrator.store.queries import read_attempts, read_tasks
from tests.unit.workshop import Notes, PowerCut, Workshop, python, recipe, shell

OK = """echo '{"status": "ok"}'"""


def shown(notes: Notes) -> tuple[str, str]:
    """Give the code of the last problem that was told, and the text that it marks."""
    problem = notes.endings[-1].problem
    assert problem is not None
    assert problem.place is not None
    start = problem.place.column - 1
    return problem.code, problem.place.text[start : start + problem.place.width]


def test_steps_run_in_list_order(workshop: Workshop) -> None:
    """One after the other, each seeing what those before it wrote."""
    notes = Notes()

    ran = workshop.run(
        recipe(
            python("load", keys="args: {a.x_v1: 1}"),
            python("relax", keys="args: {b.x_v1: '${{ ctx.a.x_v1 + 1 }}'}"),
            python("report", keys="args: {c.x_v1: '${{ ctx.b.x_v1 + 1 }}'}"),
        ),
        reporter=notes,
    )

    assert notes.started == ["load", "relax", "report"]
    assert ran.outcome.context.to_dict() == {"a.x_v1": 1, "b.x_v1": 2, "c.x_v1": 3}


def test_a_step_may_wait_for_a_later_one(workshop: Workshop) -> None:
    """``depends_on`` decides where it is given."""
    notes = Notes()
    steps = (
        python("a", keys="depends_on: [c]"),
        python("b", keys="depends_on: [a]"),
        python("c", keys="depends_on: []"),
    )

    workshop.run(recipe(*steps), reporter=notes)

    assert notes.started == ["c", "a", "b"]


def test_a_failure_ends_the_run(workshop: Workshop) -> None:
    """What needs the failed step is blocked by it, the rest is not started."""
    steps = (python("a", "Fail"), python("b"), python("c", keys="depends_on: []"), python("d", keys="depends_on: []"))

    ran = workshop.run(recipe(*steps))

    assert ran.states == ["FAILED", "BLOCKED", "BLOCKED", "BLOCKED"]
    assert ran.reasons[1:] == ["needs a", "not started: a failed", "not started: a failed"]
    assert (ran.outcome.status, ran.outcome.exit_status, ran.outcome.step) == (RunState.FAILED, 1, "a")


def test_a_run_may_keep_going(workshop: Workshop) -> None:
    """What does not need the failed step still runs; the run fails all the same."""
    steps = (python("a", "Fail"), python("b"), python("c"), python("d", keys="depends_on: []"))

    ran = workshop.run(recipe(*steps), fail_fast=False)

    assert ran.states == ["FAILED", "BLOCKED", "BLOCKED", "COMPLETED"]
    assert ran.reasons[1:3] == ["needs a", "needs a"]
    assert ran.outcome.status is RunState.FAILED


def test_a_failure_may_be_allowed(workshop: Workshop) -> None:
    """It is recorded, its dependents run, and the run succeeds."""
    ran = workshop.run(recipe(python("a", "Fail", "allow_failure: true"), python("b")))

    assert ran.states == ["FAILED", "COMPLETED"]
    assert (ran.outcome.status, ran.outcome.exit_status) == (RunState.COMPLETED, 0)


def test_a_failed_step_is_attempted_again(workshop: Workshop) -> None:
    """As often as its rule allows; every attempt is kept."""
    ran = workshop.run(recipe(python("a", "FailFirst", "args: {times: 2}, retry: {max: 2}")))

    assert [attempt.status for attempt in ran.attempts("a")] == ["FAILED", "FAILED", "COMPLETED"]
    assert [attempt.attempt_index for attempt in ran.attempts("a")] == [1, 2, 3]
    assert ran.outcome.status is RunState.COMPLETED


def test_retries_come_to_an_end(workshop: Workshop) -> None:
    """The reason of the last attempt is that of the task."""
    ran = workshop.run(recipe(python("a", "FailFirst", "args: {times: 9}, retry: {max: 1}")))

    assert [attempt.status for attempt in ran.attempts("a")] == ["FAILED", "FAILED"]
    assert ran.reasons == ["the exit code is 1, not 0: not yet"]


def test_a_retry_waits_for_its_delay(workshop: Workshop) -> None:
    """The delay is told, and the next attempt begins no earlier."""
    notes = Notes()

    ran = workshop.run(
        recipe(python("a", "FailFirst", "args: {times: 1}, retry: {max: 1, delay_sec: 0.05}")), reporter=notes
    )

    first, second = ran.attempts("a")
    waited = datetime.fromisoformat(second.created_at) - datetime.fromisoformat(first.created_at)
    assert waited.total_seconds() >= 0.045
    told, at_the_end = (ending.retry_in_sec for ending in notes.endings)
    assert told is not None
    assert 0 <= told <= 0.05  # none is left where it was told late
    assert at_the_end is None


@pytest.mark.parametrize(("backoff", "least_sec"), [("fixed", 0.06), ("linear", 0.12), ("exponential", 0.14)])
def test_delays_grow_as_the_recipe_says(workshop: Workshop, backoff: str, least_sec: float) -> None:
    """Three retries after 0.02 seconds wait three, six or seven times that."""
    retry = f"retry: {{max: 3, delay_sec: 0.02, backoff: {backoff}}}"

    ran = workshop.run(recipe(python("a", "FailFirst", f"args: {{times: 3}}, {retry}")))

    first, *_, last = ran.attempts("a")
    waited = datetime.fromisoformat(last.created_at) - datetime.fromisoformat(first.created_at)
    assert waited.total_seconds() >= least_sec


@pytest.mark.parametrize(("on", "attempts"), [("[error]", 1), ("[timeout]", 2)])
def test_only_named_faults_are_retried(workshop: Workshop, on: str, attempts: int) -> None:
    """A step that is too slow is not attempted again where only errors are to be."""
    ran = workshop.run(recipe(shell("a", "sleep 9", f"timeout: 0.1s, retry: {{max: 1, on: {on}}}")))

    assert [attempt.status for attempt in ran.attempts("a")] == ["TIMEOUT"] * attempts
    assert ran.attempts("a")[0].outcome == "timeout after 0.1s"


def test_a_step_of_this_process_can_be_too_slow(workshop: Workshop) -> None:
    """A Python step with a timeout runs in a process of its own, which can be killed."""
    workshop.write(
        "slow.py",
        "import time\nfrom orchestrator import BaseScriptlet\n\n\nclass Slow(BaseScriptlet):\n"
        "    def work(self, ctx, params):\n        time.sleep(9)\n",
    )

    ran = workshop.run(recipe("{name: a, type: python, module: ./slow.py, timeout: 0.1s}"))

    assert [attempt.status for attempt in ran.attempts("a")] == ["TIMEOUT"]


def test_a_step_whose_condition_is_false_is_skipped(workshop: Workshop) -> None:
    """No attempt is made, and the step that waits for it runs."""
    notes = Notes()

    ran = workshop.run(recipe(python("a", keys="when: 1 > 2"), python("b")), reporter=notes)

    assert ran.states == ["SKIPPED", "COMPLETED"]
    assert ran.reasons == ["when: 1 > 2 is false", ""]
    assert (ran.attempts("a"), notes.started) == ((), ["b"])


def test_a_condition_sees_the_context_and_the_steps_before(workshop: Workshop) -> None:
    """It is evaluated just before its step."""
    when = "when: \"ctx.a.x_v1 == 1 and steps.b.status == 'SKIPPED'\""

    ran = workshop.run(
        recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", keys="when: 1 > 2"), python("c", keys=when))
    )

    assert ran.states == ["COMPLETED", "SKIPPED", "COMPLETED"]


def test_a_condition_sees_what_was_blocked(workshop: Workshop) -> None:
    """A step that runs after a failure can ask what became of the others."""
    when = "depends_on: [z], when: \"steps.b.status == 'BLOCKED'\""
    steps = (python("a", "Fail"), python("b"), python("z", keys="depends_on: []"), python("c", keys=when))

    ran = workshop.run(recipe(*steps), fail_fast=False)

    assert ran.states == ["FAILED", "BLOCKED", "COMPLETED", "COMPLETED"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("args", "{a.x_v1: '${{ ctx.gone_v1 }}'}"), ("when", "ctx.gone_v1 > 1"), ("env", "{A: '${{ ctx.gone_v1 }}'}")],
)
def test_an_expression_without_a_value_fails_its_step(workshop: Workshop, key: str, value: str) -> None:
    """The attempt is recorded as one that could not even begin, and its place in the recipe is shown."""
    notes = Notes()

    ran = workshop.run(recipe(python("a"), python("b", keys=f"{key}: {value}")), reporter=notes)

    (attempt,) = ran.attempts("b")
    assert (attempt.status, attempt.outcome) == (AttemptState.FAILED_INIT, "expression")
    assert shown(notes) == ("MS306", value)
    assert "'gone_v1'" in attempt.status_reason


def test_an_expectation_without_a_value_fails_its_step(workshop: Workshop) -> None:
    """It is shown at its place, as one that does not hold."""
    notes = Notes()
    success = "success: {expect: [1 == 1, ctx.gone_v1 > 2]}"

    ran = workshop.run(recipe(python("a", keys=success)), reporter=notes)

    assert [attempt.status for attempt in ran.attempts("a")] == [AttemptState.FAILED]
    assert shown(notes) == ("MS306", "ctx.gone_v1 > 2")


def test_a_scriptlet_that_changed_since_the_run_began_is_not_run(workshop: Workshop) -> None:
    """What a run does was settled when it began."""
    notes = Notes()

    ran = workshop.run(recipe(shell("a", f"echo >>steps.py; {OK}"), python("b")), reporter=notes)

    (attempt,) = ran.attempts("b")
    assert (attempt.status, attempt.outcome) == (AttemptState.FAILED_INIT, "scriptlet")
    assert attempt.status_reason == f"{workshop.folder / 'steps.py'} changed since the run began"
    assert notes.endings[-1].problem is not None
    assert notes.endings[-1].problem.code == "MS307"


def test_a_scriptlet_may_need_a_process_of_its_own(workshop: Workshop) -> None:
    """Also where the others run in this one."""
    ran = workshop.run(
        recipe(python("a", "Process", "args: {key: a.pid_v1}"), python("b", "OwnProcess", "args: {key: b.pid_v1}"))
    )

    pids = ran.outcome.context
    assert (pids.get("a.pid_v1") == os.getpid(), pids.get("b.pid_v1") == os.getpid()) == (True, False)


def test_an_expression_without_a_value_is_not_tried_again(workshop: Workshop) -> None:
    """It would have none the second time either."""
    ran = workshop.run(recipe(python("a", keys="args: {a.x_v1: '${{ ctx.gone_v1 }}'}, retry: {max: 3}")))

    assert len(ran.attempts("a")) == 1
    assert ran.states == ["FAILED"]


def test_an_allowed_failure_may_be_that_of_an_expression(workshop: Workshop) -> None:
    """Whatever kept the step from succeeding, the run goes on."""
    ran = workshop.run(recipe(python("a", keys="when: ctx.gone_v1, allow_failure: true"), python("b")))

    assert ran.states == ["FAILED", "COMPLETED"]


def test_the_first_rule_that_does_not_hold_is_shown_in_the_recipe(workshop: Workshop) -> None:
    """With its place and the values that decided."""
    notes = Notes()

    workshop.run(
        recipe(python("a", keys="args: {a.x_v1: 1},\n  success: {expect: ['1 == 1', 'ctx.a.x_v1 > 2']}")),
        reporter=notes,
    )

    assert shown(notes) == ("MS302", "'ctx.a.x_v1 > 2'")
    assert str(notes.endings[0].problem).startswith(
        f"{workshop.folder / 'r.yaml'}:3:32: error[MS302]: a: success.expect: 'ctx.a.x_v1 > 2' is false: 1 > 2\n"
    )


def test_a_shell_step_writes_the_context_in_its_envelope(workshop: Workshop) -> None:
    """Outputs that are a map carry the values."""
    answer = """echo '{"status": "ok", "outputs": {"a.x_v1": [1, 2], "a.y_v1": null}}'"""

    ran = workshop.run(recipe(shell("a", answer)))

    assert ran.outcome.context.to_dict() == {"a.x_v1": [1, 2], "a.y_v1": None}
    assert [entry.who for entry in ran.history("a.x_v1")] == ["a"]


def test_a_shell_step_may_say_what_it_likes(workshop: Workshop) -> None:
    """With ``stdout: free`` its output is kept with the attempt."""
    ran = workshop.run(recipe(shell("a", "echo hello", "stdout: free")))

    (attempt,) = ran.attempts("a")
    assert (attempt.status, attempt.stdout) == (AttemptState.COMPLETED, "hello\n")


def test_the_output_of_a_step_that_succeeded_is_not_kept(workshop: Workshop) -> None:
    """It is the envelope, which is kept as such; what it said beside it is."""
    ran = workshop.run(recipe(shell("a", f"echo working >&2; {OK}")))

    (attempt,) = ran.attempts("a")
    assert (attempt.stdout, attempt.stderr) == ("", "working\n")
    assert attempt.envelope == {"status": "ok", "outputs": []}


def test_the_writes_of_a_failed_attempt_are_rolled_back(workshop: Workshop) -> None:
    """The next attempt does not see them; the history still holds them."""
    ran = workshop.run(recipe(python("a", "Fail", "retry: {max: 1}")))

    assert ran.outcome.context.to_dict() == {}
    assert [(entry.value_json, entry.rolled_back) for entry in ran.history("lost.keys_v1")] == [("[]", True)] * 2


def test_the_environment_is_text(workshop: Workshop) -> None:
    """Values that are no text become their JSON; that of a step goes before that of the defaults."""
    env = "env: {NUMBER: 2, TRUTH: true, SUM: '${{ [1, 1 + 1] }}', TEXT: 'true'}"
    names = "args: {names: [NUMBER, TRUTH, SUM, TEXT, SITE]}"
    head = "defaults: {env: {SITE: north, NUMBER: 1}}\n"

    ran = workshop.run(recipe(python("a", "Environment", f"{env}, {names}"), head=head))

    assert ran.outcome.context.get("env.seen_v1") == ["2", "true", "[1,2]", "true", "north"]


def test_the_environment_of_a_step_is_its_own(workshop: Workshop) -> None:
    """The next step does not see it."""
    steps = (
        python("a", keys="env: {SITE: north}"),
        python("b", "Environment", "args: {names: [SITE]}"),
    )

    assert workshop.run(recipe(*steps)).outcome.context.get("env.seen_v1") == [None]


def test_arguments_reach_a_command_as_json(workshop: Workshop) -> None:
    """A program finds them in a variable."""
    ran = workshop.run(recipe(shell("a", 'printf "%s" "$MATTERSTACK_PARAMS" >params.json; ' + OK, "args: {n: [1]}")))

    assert ran.outcome.status is RunState.COMPLETED
    assert json.loads((workshop.folder / "params.json").read_text()) == {"n": [1]}
    assert ran.attempts("a")[0].params == {"n": [1]}


def test_a_step_works_where_the_run_was_started(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the recipe's folder."""
    text = recipe(shell("a", f"touch here; {OK}"))
    elsewhere = workshop.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    workshop.run(text)

    assert (elsewhere / "here").exists()


def test_an_attempt_that_nobody_ended_is_lost_and_made_again(workshop: Workshop) -> None:
    """That is no failure of the step, which has its retries still."""
    text = recipe(python("a", "FailFirst", "args: {times: 1}, retry: {max: 1}"))
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=PowerCut())

    ran = workshop.run(text)

    assert [attempt.status for attempt in ran.attempts("a")] == ["LOST", "FAILED", "COMPLETED"]
    assert ran.attempts("a")[0].outcome == "runner died"
    assert ran.outcome.status is RunState.COMPLETED


def test_failures_before_an_interruption_count(workshop: Workshop) -> None:
    """A resumed run does not begin its retries anew."""
    first = python("a", "FailFirst", "args: {times: 9}, retry: {max: 2, delay_sec: 0.01}")
    text = recipe(first)
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=_CutAtAttempt(3))

    ran = workshop.run(text)

    assert [attempt.status for attempt in ran.attempts("a")] == ["FAILED", "FAILED", "LOST", "FAILED"]


def test_an_interrupted_step_is_cancelled(workshop: Workshop) -> None:
    """Its writes are undone, its task waits, and the run can be resumed."""
    ran = workshop.run(recipe(python("a", "Interrupt"), python("b")))

    assert ran.states == ["PENDING", "PENDING"]
    assert [attempt.status for attempt in ran.attempts("a")] == ["CANCELLED"]
    assert (ran.outcome.status, ran.outcome.exit_status, ran.outcome.reason) == (RunState.PENDING, 130, "interrupted")
    assert "half.done_v1" not in ran.outcome.context


def test_an_interrupted_step_is_attempted_again(workshop: Workshop) -> None:
    """When the run goes on, and without using up a retry."""
    interrupted = workshop.run(recipe(python("a", "Interrupt"), python("b")))

    ran = workshop.resume(interrupted.root)

    assert [attempt.status for attempt in ran.attempts("a")] == ["CANCELLED", "COMPLETED"]
    assert ran.states == ["COMPLETED", "COMPLETED"]


@pytest.mark.parametrize(
    ("number", "exit_status", "reason"),
    [
        (signal.SIGINT, 130, "interrupted by SIGINT"),
        (signal.SIGTERM, 143, "interrupted by SIGTERM"),
        (signal.SIGHUP, 129, "interrupted by SIGHUP"),
    ],
)
def test_a_signal_interrupts_a_step_of_this_process(
    workshop: Workshop, number: signal.Signals, exit_status: int, reason: str
) -> None:
    """The status says which signal it was."""
    ran = workshop.run(recipe(python("a", "Signal", f"args: {{number: {int(number)}}}")))

    assert (ran.outcome.exit_status, ran.outcome.reason) == (exit_status, reason)
    assert [attempt.status for attempt in ran.attempts("a")] == ["CANCELLED"]


def test_a_signal_ends_a_program_that_runs(workshop: Workshop) -> None:
    """The runner asks it to end, and nothing more is started."""
    ran = workshop.run(recipe(shell("a", f"kill -TERM {os.getpid()}; exec sleep 60"), python("b")))

    assert ran.outcome.exit_status == 143
    assert [attempt.status for attempt in ran.attempts("a")] == ["CANCELLED"]
    assert ran.states == ["PENDING", "PENDING"]


class Signalling:
    """A reporter at which two signals come as soon as something of a kind is told."""

    def __init__(self, kind: type[Happening]) -> None:
        self._kind = kind

    def tell(self, happening: Happening) -> None:
        """Send them."""
        if isinstance(happening, self._kind):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)


def test_signals_before_the_first_step_interrupt_the_run(workshop: Workshop) -> None:
    """Nothing is begun, and the records say so."""
    ran = workshop.run(recipe(shell("a", "true", "stdout: free")), reporter=Signalling(RunBegun))

    assert (ran.outcome.exit_status, ran.outcome.reason) == (143, "interrupted by SIGTERM")
    assert (ran.states, ran.attempts("a")) == (["PENDING"], ())


def test_signals_after_the_last_step_do_not_end_the_runner(workshop: Workshop) -> None:
    """The run has come to its end, and the result is told."""
    ran = workshop.run(recipe(shell("a", "true", "stdout: free")), reporter=Signalling(RunSettled))

    assert (ran.outcome.exit_status, ran.states) == (0, ["COMPLETED"])


def test_signals_mean_what_they_meant_before(workshop: Workshop) -> None:
    """After a run, the process answers signals as it did."""
    before = signal.getsignal(signal.SIGTERM)

    workshop.run(recipe(python("a")))

    assert signal.getsignal(signal.SIGTERM) is before


def test_nobody_is_told_of_what_is_not_yet_recorded(workshop: Workshop) -> None:
    """Whoever hears that a step began or ended can read it in the run's file."""
    reporter = _Reader()

    workshop.run(
        recipe(python("a", "FailFirst", "args: {times: 1}, retry: {max: 1}"), python("b", keys="when: 1 > 2")),
        reporter=reporter,
    )

    assert reporter.seen == [
        ("a", "started", "RUNNING", "RUNNING"),
        ("a", "PENDING", "RUNNING", "RUNNING"),
        ("a", "started", "RUNNING", "RUNNING"),
        ("a", "COMPLETED", "COMPLETED", "COMPLETED"),
        ("b", "SKIPPED", "SKIPPED", ""),
    ]


def test_what_is_told_of_a_step(workshop: Workshop) -> None:
    """Its place in the list, its attempt, how long it took and what it wrote."""
    notes = Notes()

    workshop.run(recipe(python("a"), python("b", keys="args: {b.y_v1: 1, b.x_v1: 2}")), reporter=notes)

    begun, _, _, started, ended, settled = notes.told
    assert isinstance(begun, RunBegun)
    assert isinstance(settled, RunSettled)
    assert begun.task_ids == ("a", "b")
    assert started == TaskStarted(position=1, task_id="b", attempt_index=1)
    assert isinstance(ended, TaskEnded)
    assert (ended.status, ended.outputs, ended.attempt_index) == (TaskState.COMPLETED, ("b.y_v1", "b.x_v1"), 1)
    assert settled.status is RunState.COMPLETED


def test_the_history_holds(workshop: Workshop) -> None:
    """After failures, retries and skips the chain of events is whole."""
    steps = (
        python("a", "FailFirst", "args: {times: 1}, retry: {max: 1}"),
        python("b", keys="when: 1 > 2"),
        python("c", "Fail"),
    )

    ran = workshop.run(recipe(*steps))

    with reading(ran.root) as database:
        assert chain_fault(database) == ""
    assert ran.events == [
        "run.opened",
        "run.running",
        *["attempt.opened", "attempt.closed"] * 2,
        "tasks.skipped",
        "attempt.opened",
        "attempt.closed",
        "run.failed",
    ]


class _CutAtAttempt:
    """A reporter with which the program ends as soon as an attempt of this number has begun."""

    def __init__(self, attempt_index: int) -> None:
        self._attempt_index = attempt_index

    def tell(self, happening: Happening) -> None:
        """End everything at that attempt."""
        if isinstance(happening, TaskStarted) and happening.attempt_index == self._attempt_index:
            raise SystemExit


class _Reader:
    """A reporter that reads, at each thing it is told, how the task and its latest attempt stand in the file."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str]] = []
        self._root = Path()

    def tell(self, happening: Happening) -> None:
        """Look the task up."""
        if isinstance(happening, RunBegun):
            self._root = happening.run_root
        elif isinstance(happening, TaskStarted | TaskEnded):
            self.seen.append(self._looked_up(happening))

    def _looked_up(self, happening: TaskStarted | TaskEnded) -> tuple[str, str, str, str]:
        with reading(self._root) as database:
            task = read_tasks(database)[happening.position]
            attempts = read_attempts(database, happening.task_id)
        told = happening.status.value if isinstance(happening, TaskEnded) else "started"
        return task.task_id, told, task.status.value, attempts[-1].status.value if attempts else ""
