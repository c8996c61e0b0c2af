"""A step succeeded only if everything agrees, and the first disagreement is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.checks import Failure, StepEvidence, SuccessRules, judge
from orchestrator.expressions import Scope
from orchestrator.jsonsafe import JsonValue

GOOD = StepEvidence(exit_code=0, envelope_status="ok")
SCOPE = Scope(
    names={"inputs": {"least": 4}, "secrets": {"token": "hunter2"}},
    ctx={"numbers.median_v1": {"count": 3, "values": [1, "two"]}, "numbers.stats_v1": {"mean": 3.5}},
)
NO_RULES = SuccessRules()


def judged(success: SuccessRules, evidence: StepEvidence = GOOD) -> Failure:
    """Give the failure of a step that must have failed."""
    failure = judge(success, evidence, SCOPE)
    assert failure is not None
    return failure


def test_a_step_without_rules_succeeds() -> None:
    """Exit code 0 and a good envelope are enough where nothing else is asked for."""
    assert judge(NO_RULES, GOOD, SCOPE) is None


def test_a_step_that_meets_every_rule_succeeds() -> None:
    """All rules may be asked for together."""
    rules = SuccessRules(
        ctx_has_keys=("numbers.stats_v1",),
        expect=("ctx.numbers.median_v1.count == 3",),
        json_schema={"numbers.stats_v1": {"required": ["mean"]}},
        files_exist=("result.json",),
        exit_code=3,
    )
    evidence = StepEvidence(exit_code=3, envelope_status="ok", outputs=("numbers.median_v1",))

    assert judge(rules, evidence, SCOPE) is None


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (1, "", "the exit code is 1, not 0"),
        (1, "no candidates", "the exit code is 1, not 0: no candidates"),
        (-9, "", "the step was ended by signal 9"),
    ],
)
def test_the_exit_code_is_judged_first(code: int, reason: str, message: str) -> None:
    """An exit code that was not asked for fails the step, with the reason that the envelope gives."""
    evidence = StepEvidence(exit_code=code, envelope_status="error", reason=reason, outputs=("gone.key_v1",))

    failure = judged(NO_RULES, evidence)

    assert failure == Failure(code="MS301", message=message, rule="exit_code", detail=f"{code} == 0")


def test_an_exit_code_may_be_asked_for() -> None:
    """Exit code 0 fails a step that is meant to end with another."""
    assert judged(SuccessRules(exit_code=3)).message == "the exit code is 0, not 3"


def test_a_step_without_a_process_has_no_exit_code() -> None:
    """What runs in the runner itself is judged by its envelope alone."""
    assert judge(SuccessRules(exit_code=3), StepEvidence(exit_code=None, envelope_status="ok"), SCOPE) is None


def test_the_envelope_is_judged_second() -> None:
    """An error envelope fails a step whose process ended well."""
    evidence = StepEvidence(exit_code=0, envelope_status="error", reason="no candidates", outputs=("gone.key_v1",))

    failure = judged(NO_RULES, evidence)

    assert (failure.code, failure.rule) == ("MS301", "envelope")
    assert failure.message == "the envelope's status is 'error': no candidates"


def test_a_declared_output_must_be_written() -> None:
    """An output that the step names but did not write fails it, with the key that was meant."""
    evidence = StepEvidence(exit_code=0, envelope_status="ok", outputs=("numbers.stats_v1", "numbers.medain_v1"))

    failure = judged(SuccessRules(expect=("False",)), evidence)

    assert failure.message == "the step declares the output 'numbers.medain_v1' but did not write it"
    assert (failure.code, failure.rule, failure.index) == ("MS301", "outputs", 1)
    assert failure.detail == "did you mean 'numbers.median_v1'?"


def test_a_context_key_must_be_there() -> None:
    """The first missing key of ctx_has_keys is named by its place in the list."""
    failure = judged(SuccessRules(ctx_has_keys=("numbers.stats_v1", "numbers.stat_v1")))

    assert failure.message == "success.ctx_has_keys: the context has no key 'numbers.stat_v1'"
    assert (failure.code, failure.rule, failure.index) == ("MS302", "ctx_has_keys", 1)
    assert failure.detail == "did you mean 'numbers.stats_v1'?"


def test_a_context_key_is_meant_exactly() -> None:
    """A path into a value is not a key."""
    assert judged(SuccessRules(ctx_has_keys=("numbers.stats_v1.mean",))).rule == "ctx_has_keys"


def test_a_file_must_be_there() -> None:
    """A file that the caller found missing is named."""
    rules = SuccessRules(files_exist=("a.csv", "b.csv"), expect=("False",))
    evidence = StepEvidence(exit_code=0, envelope_status="ok", missing_files=("b.csv",))

    failure = judged(rules, evidence)

    expected = Failure(
        code="MS302", message="success.files_exist: there is no file 'b.csv'", rule="files_exist", index=1
    )
    assert failure == expected


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        (
            {"properties": {"values": {"items": {"type": "integer"}}}},
            "numbers.median_v1.values[1]: 'two' is not of type 'integer'",
        ),
        ({"type": "array", "maxItems": 0}, "numbers.median_v1: {'count': 3, 'values': [1, 'two']} is not of type"),
        (False, "numbers.median_v1: False schema does not allow"),
        ({"type": "strng"}, "the schema of 'numbers.median_v1' is not a JSON Schema: 'strng' is not valid"),
        (5, "the schema of 'numbers.median_v1' is not a JSON Schema: 5 is neither a dict nor true or false"),
        ({"$schema": "http://json-schema.org/draft-99/schema#"}, "the schema of 'numbers.median_v1' is not a JSON"),
        ({"$schema": 7}, "the schema of 'numbers.median_v1' is not a JSON Schema: the draft 7 is not known"),
        (
            {"$ref": "http://127.0.0.1:9/other.json"},
            "the schema of 'numbers.median_v1' refers to 'http://127.0.0.1:9/other.json', which is not in it",
        ),
        ({"$ref": "#"}, "the schema of 'numbers.median_v1' refers to itself without end"),
    ],
)
def test_a_value_must_match_its_schema(schema: JsonValue, what: str) -> None:
    """The message names the place inside the value, or what is wrong with the schema; nothing is fetched for it."""
    failure = judged(SuccessRules(json_schema={"numbers.stats_v1": {}, "numbers.median_v1": schema}))

    assert failure.message.startswith(f"success.json_schema: {what}")
    assert (failure.code, failure.rule, failure.index) == ("MS302", "json_schema", 1)


def test_a_schema_needs_its_value() -> None:
    """A schema for a key that the context does not have fails the step."""
    failure = judged(SuccessRules(json_schema={"numbers.stat_v1": True}))

    assert failure.message == "success.json_schema: the context has no key 'numbers.stat_v1'"
    assert failure.detail == "did you mean 'numbers.stats_v1'?"


def test_an_expectation_shows_its_values() -> None:
    """The first false expectation is named with the values it compared."""
    failure = judged(SuccessRules(expect=("True", "ctx.numbers.median_v1.count == inputs.least", "False")))

    assert failure.message == "success.expect: 'ctx.numbers.median_v1.count == inputs.least' is false: 3 == 4"
    assert (failure.code, failure.rule, failure.index, failure.detail) == ("MS302", "expect", 1, "3 == 4")


@pytest.mark.parametrize(
    ("condition", "code", "detail"),
    [
        ("ctx.numbers.median_v1.cout == 3", "MS306", "did you mean 'count'?"),
        ("ctx.numbers.median_v1.count", "MS306", "compare it, as in 'len(x) > 0', or write bool(x)"),
        ("ctx.numbers.median_v1.count = 3", "MS207", "write '==' to compare"),
    ],
)
def test_an_expectation_without_a_truth_is_a_failure(condition: str, code: str, detail: str) -> None:
    """An expectation that cannot be read, evaluated or taken as true or false fails the step instead of the runner."""
    failure = judged(SuccessRules(expect=(condition,)))

    assert failure.message.startswith(f"success.expect: expression {condition!r}")
    assert (failure.code, failure.rule, failure.detail) == (code, "expect", detail)


def test_an_expectation_keeps_secrets() -> None:
    """A failed expectation about a secret does not show it."""
    failure = judged(SuccessRules(expect=("secrets.token == 'a'",)))

    assert "hunter2" not in f"{failure.message}{failure.detail}"


def test_jsonschema_is_loaded_only_for_schemas() -> None:
    """Judging without a schema does not pay for importing jsonschema."""
    program = (
        "import sys; from orchestrator.checks import *; from orchestrator.expressions import Scope;"
        "judge(SuccessRules(expect=('True',)), StepEvidence(exit_code=0, envelope_status='ok'), Scope());"
        "sys.exit('jsonschema' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
