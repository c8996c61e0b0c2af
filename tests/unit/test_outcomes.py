"""What came of a call is judged: fault, exit code, envelope, then the success rules, and the first says why."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.checks import SuccessRules
from orchestrator.context import Change, Context
from orchestrator.outcomes import Verdict, judge_done
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

OK = '{"status": "ok"}\n'
GOOD = Done(attempt_id="0", exit_code=0, stdout=OK)
NO_RULES = SuccessRules()
NAMES = {"inputs": {"least": 2}, "steps": {}}


def judged(done: Done, rules: SuccessRules = NO_RULES, *, free_stdout: bool = False) -> Verdict:
    """Judge a call of the step ``relax`` in a context that holds one value; no file is there."""
    context = Context({"a.x_v1": 1})
    verdict = judge_done(
        done, step="relax", rules=rules, context=context, names=NAMES, missing=tuple, free_stdout=free_stdout
    )
    assert context.to_dict() == {"a.x_v1": 1}
    return verdict


def said(stdout: str, exit_code: int = 0) -> Done:
    """Give a call that ended by itself."""
    return dataclasses.replace(GOOD, stdout=stdout, exit_code=exit_code)


def faulted(fault: str, stderr: str = "") -> Done:
    """Give a call that something else ended."""
    return Done(attempt_id="0", exit_code=-15, fault=fault, stderr=stderr, changes=(Change("b.y_v1", "2", "relax"),))


def failed_by(verdict: Verdict) -> tuple[str, str, str]:
    """Give code, rule and reason of a failure."""
    assert verdict.failing is not None
    assert verdict.status is AttemptState.FAILED
    assert verdict.envelope.status == "error" or verdict.failing.rule not in ("envelope", "fault")
    return verdict.failing.code, verdict.failing.rule, verdict.reason


def test_a_good_answer_completes_the_attempt() -> None:
    """There is nothing more to say of it."""
    verdict = judged(GOOD)

    assert (verdict.status, verdict.outcome, verdict.reason, verdict.cause) == (AttemptState.COMPLETED, "ok", "", "")


def test_the_envelope_carries_values() -> None:
    """They are written by the step, after what it wrote itself."""
    own = Change("b.y_v1", "1", "relax")

    verdict = judged(dataclasses.replace(said('{"status": "ok", "outputs": {"b.y_v1": [2]}}'), changes=(own,)))

    assert verdict.changes == (own, Change("b.y_v1", "[2]", "relax"))


def test_rules_see_the_context_as_the_step_would_leave_it() -> None:
    """What it wrote, what was there, the envelope and the inputs."""
    expect = ("ctx.b.y_v1 == 2 and ctx.a.x_v1 == 1", "result.note == 'fine'", "ctx.b.y_v1 >= inputs.least")

    done = said('{"status": "ok", "outputs": {"b.y_v1": 2}, "note": "fine"}')

    assert judged(done, SuccessRules(expect=expect)).status is AttemptState.COMPLETED


@pytest.mark.parametrize(
    ("fault", "status", "code", "cause"),
    [
        ("timeout after 30s", AttemptState.TIMEOUT, "MS304", "timeout"),
        ("signal SIGSEGV", AttemptState.FAILED, "MS301", "error"),
        ("interrupted", AttemptState.CANCELLED, "MS301", "error"),
    ],
)
def test_what_ended_the_step_decides(fault: str, status: AttemptState, code: str, cause: str) -> None:
    """Whatever it said before."""
    verdict = judged(dataclasses.replace(faulted(fault), stdout=OK))

    assert (verdict.status, verdict.outcome, verdict.cause) == (status, fault, cause)
    assert verdict.failing is not None
    assert (verdict.failing.code, verdict.reason) == (code, fault)
    assert verdict.changes == (Change("b.y_v1", "2", "relax"),)


@pytest.mark.parametrize(
    ("done", "reason", "exit_code"),
    [
        (faulted("signal SIGTERM"), "signal SIGTERM", -15),
        (Done(attempt_id="0", exit_code=None, fault="interrupted"), "interrupted", 1),
        (said("", 0), "standard output is empty; expected one JSON line", 1),
        (said("words", 7), "standard output is not the JSON envelope", 7),
    ],
)
def test_where_there_is_no_answer_one_is_made(done: Done, reason: str, exit_code: int) -> None:
    """So that each attempt that ended has its envelope."""
    envelope = judged(done).envelope

    assert (envelope.status, envelope.exit_code) == ("error", exit_code)
    assert envelope.reason.startswith(reason)


def test_a_fault_is_told_with_the_last_line_of_the_log() -> None:
    """Cut where it is long."""
    assert judged(faulted("signal SIGKILL", "one\ntwo\n\n")).reason == "signal SIGKILL; last stderr line: two"
    assert len(judged(faulted("signal SIGKILL", "x" * 999)).reason) == len("signal SIGKILL; last stderr line: ") + 200


@pytest.mark.parametrize(
    ("done", "failure"),
    [
        (said("", 2), ("MS301", "exit_code", "the exit code is 2, not 0")),
        (said(OK, 2), ("MS301", "exit_code", "the exit code is 2, not 0")),
        (
            said('{"status": "error", "reason": "too hot"}', 2),
            ("MS301", "exit_code", "the exit code is 2, not 0: too hot"),
        ),
        (
            said('{"status": "error", "reason": "too hot"}'),
            ("MS301", "envelope", "the envelope's status is 'error': too hot"),
        ),
        (said(""), ("MS303", "envelope", "standard output is empty; expected one JSON line")),
        (
            said(OK + "done\n"),
            ("MS303", "envelope", "standard output has 2 lines; the first after the envelope is 'done'"),
        ),
        (
            said('{"status": "ok", "outputs": ["b.y_v1"]}'),
            ("MS301", "outputs", "the step declares the output 'b.y_v1' but did not write it"),
        ),
    ],
)
def test_the_answer_must_be_right(done: Done, failure: tuple[str, str, str]) -> None:
    """The exit code goes before the envelope, and the envelope before its outputs."""
    assert failed_by(judged(done)) == failure


def test_words_beside_a_wrong_exit_code_are_not_an_answer() -> None:
    """The first line that is none is shown."""
    code, rule, reason = failed_by(judged(said("Traceback\n", 1)))

    assert (code, rule) == ("MS303", "envelope")
    assert reason.endswith(": 'Traceback'")


def test_an_answer_that_was_cut_is_none() -> None:
    """Even where its beginning would be one."""
    code, _, reason = failed_by(judged(dataclasses.replace(GOOD, stdout_dropped=7)))

    assert (code, reason) == ("MS303", "standard output is 7 bytes longer than the cap of 1 MiB")


def test_a_value_under_a_name_of_the_runner_is_refused() -> None:
    """Nothing of such an answer is written."""
    verdict = judged(said('{"status": "ok", "outputs": {"_run.x_v1": 1}}'))

    assert failed_by(verdict)[:2] == ("MS303", "envelope")
    assert verdict.changes == ()


def test_another_exit_code_may_be_success() -> None:
    """The envelope must still agree."""
    assert judged(said(OK, 3), SuccessRules(exit_code=3)).status is AttemptState.COMPLETED
    assert failed_by(judged(said("", 3), SuccessRules(exit_code=3)))[1] == "envelope"
    assert failed_by(judged(said("", 0), SuccessRules(exit_code=3)))[2] == "the exit code is 0, not 3"


def test_free_words_are_no_answer_and_need_be_none() -> None:
    """The exit code and the rules decide alone."""
    assert judged(said("hello"), free_stdout=True).status is AttemptState.COMPLETED
    assert failed_by(judged(said("hello", 1), free_stdout=True))[1] == "exit_code"


KEYS = SuccessRules(ctx_has_keys=("c.z_v1",))
FILES = SuccessRules(files_exist=("gone.csv",))
SCHEMAS = SuccessRules(json_schema={"a.x_v1": {"type": "string"}})
EXPECTATIONS = SuccessRules(expect=("1 > 2",))


def together(*rules: SuccessRules) -> SuccessRules:
    """Ask for all of them."""
    return SuccessRules(
        ctx_has_keys=tuple(key for rule in rules for key in rule.ctx_has_keys),
        files_exist=tuple(name for rule in rules for name in rule.files_exist),
        json_schema={key: schema for rule in rules for key, schema in rule.json_schema.items()},
        expect=tuple(condition for rule in rules for condition in rule.expect),
    )


@pytest.mark.parametrize(
    ("rules", "rule", "reason"),
    [
        (
            together(KEYS, FILES, SCHEMAS, EXPECTATIONS),
            "ctx_has_keys",
            "success.ctx_has_keys: the context has no key 'c.z_v1'",
        ),
        (
            together(FILES, SCHEMAS, EXPECTATIONS),
            "files_exist",
            "success.files_exist: there is no file 'gone.csv'",
        ),
        (together(SCHEMAS, EXPECTATIONS), "json_schema", "success.json_schema: a.x_v1: 1 is not of type 'string'"),
        (EXPECTATIONS, "expect", "success.expect: '1 > 2' is false: 1 > 2"),
    ],
)
def test_the_rules_are_judged_in_order(rules: SuccessRules, rule: str, reason: str) -> None:
    """Keys, files, schemas, expectations; the first that does not hold is named."""
    assert failed_by(judged(GOOD, rules)) == ("MS302", rule, reason)


def test_the_rules_are_not_asked_where_the_answer_is_wrong() -> None:
    """They would speak of what the step could not do."""
    assert failed_by(judged(said("", 2), together(KEYS, EXPECTATIONS)))[1] == "exit_code"


def test_a_file_may_be_named_by_an_expression() -> None:
    """It sees what the step wrote."""
    done = said('{"status": "ok", "outputs": {"b.file_v1": "out.csv"}}')

    verdict = judged(done, SuccessRules(files_exist=("${{ ctx.b.file_v1 }}",)))

    assert failed_by(verdict) == ("MS302", "files_exist", "success.files_exist: there is no file 'out.csv'")


def test_a_file_whose_name_has_no_value_fails_the_step() -> None:
    """As any rule that cannot be evaluated."""
    code, rule, reason = failed_by(judged(GOOD, SuccessRules(files_exist=("${{ ctx.gone_v1 }}",))))

    assert (code, rule) == ("MS306", "files_exist")
    assert "'gone_v1'" in reason


@pytest.mark.parametrize(
    ("done", "rule"),
    [
        (GOOD, "ctx_has_keys"),
        (said('{"status": "ok", "outputs": ["b.y_v1"]}'), "outputs"),
        (said('{"status": "error"}'), "envelope"),
        (said("", 1), "exit_code"),
    ],
)
def test_what_comes_before_the_files_is_judged_before_their_names(done: Done, rule: str) -> None:
    """A missing key is named as such, not as part of a file's name."""
    rules = SuccessRules(ctx_has_keys=("b.file_v1",), files_exist=("${{ ctx.b.file_v1 }}",))

    assert failed_by(judged(done, rules))[1] == rule


def test_the_writes_of_a_failure_are_kept_for_the_history() -> None:
    """Those of the envelope too."""
    verdict = judged(said('{"status": "ok", "outputs": {"b.y_v1": 2}}'), SuccessRules(expect=("1 > 2",)))

    assert verdict.changes == (Change("b.y_v1", "2", "relax"),)


@pytest.mark.parametrize(
    ("done", "outcome"),
    [(said("", 2), "exit 2"), (said("words"), "envelope"), (said('{"status": "error"}'), "envelope")],
)
def test_an_outcome_is_a_word_or_two(done: Done, outcome: str) -> None:
    """For tables."""
    assert judged(done).outcome == outcome
