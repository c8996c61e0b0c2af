"""Judge whether a step succeeded: its exit code, its envelope, its outputs and its success rules must all agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, evaluate_condition, explain
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

STEP_FAILED = "MS301"
CONDITION_FAILED = "MS302"

_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessRules:
    """What a recipe demands of a step under ``success``, beside a good envelope and the outputs it names.

    ``json_schema`` maps a context key to the schema its value must match; ``expect`` holds bare conditions.
    """

    ctx_has_keys: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    json_schema: Mapping[str, JsonValue] = field(default_factory=dict)
    files_exist: tuple[str, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvidence:
    """What a step left behind: nothing here is looked up again.

    ``exit_code`` is None where the step had no process of its own, and negative where a signal ended it. ``outputs``
    are the context keys that the step declares; ``missing_files`` are those of ``files_exist`` that are not there.
    """

    exit_code: int | None
    envelope_status: str
    reason: str = ""
    outputs: tuple[str, ...] = ()
    missing_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first thing that did not agree.

    ``rule`` names it as the recipe does, or is ``envelope`` or ``outputs``; ``index`` counts from 0 within the rule;
    ``detail`` holds the values that decided, in one line.
    """

    code: str
    message: str
    rule: str
    index: int = 0
    detail: str = ""


def judge(success: SuccessRules, evidence: StepEvidence, scope: Scope) -> Failure | None:
    """Give the first disagreement, or None for a step that succeeded.

    The order is exit code, envelope, outputs, ctx_has_keys, files_exist, json_schema, expect. ``scope`` holds the
    context as the step would leave it. A rule that cannot be evaluated is a failure too, never an exception.
    """
    for check in _CHECKS:
        failure = next(check(success, evidence, scope), None)
        if failure is not None:
            return failure
    return None


def _exit_codes(success: SuccessRules, evidence: StepEvidence, _: Scope) -> Iterator[Failure]:
    code = evidence.exit_code
    if code is None or code == success.exit_code:
        return
    what = f"the step was ended by signal {-code}" if code < 0 else f"the exit code is {code}, not {success.exit_code}"
    message = f"{what}: {evidence.reason}" if evidence.reason else what
    yield Failure(code=STEP_FAILED, message=message, rule="exit_code", detail=f"{code} == {success.exit_code}")


def _envelopes(_: SuccessRules, evidence: StepEvidence, __: Scope) -> Iterator[Failure]:
    if evidence.envelope_status != "ok":
        message = f"the envelope's status is {evidence.envelope_status!r}: {evidence.reason or 'no reason given'}"
        detail = f"{evidence.envelope_status!r} == 'ok'"
        yield Failure(code=STEP_FAILED, message=message, rule="envelope", detail=detail)


def _outputs(_: SuccessRules, evidence: StepEvidence, scope: Scope) -> Iterator[Failure]:
    for index, key in enumerate(evidence.outputs):
        if key not in scope.ctx:
            message = f"the step declares the output {key!r} but did not write it"
            yield Failure(code=STEP_FAILED, message=message, rule="outputs", index=index, detail=_near(key, scope))


def _context_keys(success: SuccessRules, _: StepEvidence, scope: Scope) -> Iterator[Failure]:
    for index, key in enumerate(success.ctx_has_keys):
        if key not in scope.ctx:
            message = f"success.ctx_has_keys: the context has no key {key!r}"
            detail = _near(key, scope)
            yield Failure(code=CONDITION_FAILED, message=message, rule="ctx_has_keys", index=index, detail=detail)


def _files(success: SuccessRules, evidence: StepEvidence, _: Scope) -> Iterator[Failure]:
    for path in evidence.missing_files:
        index = success.files_exist.index(path) if path in success.files_exist else 0
        message = f"success.files_exist: there is no file {path!r}"
        yield Failure(code=CONDITION_FAILED, message=message, rule="files_exist", index=index)


def _schemas(success: SuccessRules, _: StepEvidence, scope: Scope) -> Iterator[Failure]:
    for index, (key, schema) in enumerate(success.json_schema.items()):
        has_value = key in scope.ctx
        what = mismatch(key, scope.ctx[key], schema) if has_value else f"the context has no key {key!r}"
        if what:
            message = f"success.json_schema: {what}"
            detail = "" if has_value else _near(key, scope)
            yield Failure(code=CONDITION_FAILED, message=message, rule="json_schema", index=index, detail=detail)


def _expectations(success: SuccessRules, _: StepEvidence, scope: Scope) -> Iterator[Failure]:
    for index, condition in enumerate(success.expect):
        failure = _unmet(condition, index, scope)
        if failure is not None:
            yield failure


def _unmet(condition: str, index: int, scope: Scope) -> Failure | None:
    try:
        if evaluate_condition(condition, scope):
            return None
        detail = explain(condition, scope)
    except ExpressionError as error:
        message = f"success.expect: {error.message}"
        return Failure(code=error.code, message=message, rule="expect", index=index, detail=error.hint)
    message = f"success.expect: {condition.strip()!r} is false: {detail}"
    return Failure(code=CONDITION_FAILED, message=message, rule="expect", index=index, detail=detail)


def _near(key: str, scope: Scope) -> str:
    return did_you_mean(key, scope.ctx)


def mismatch(key: str, value: JsonValue, schema: JsonValue) -> str:
    """Say where a value does not match its schema, or why the schema cannot be used; empty when the value matches."""
    # Imported here because it is slow and most recipes never need it.
    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable  # noqa: PLC0415  a part of jsonschema

    try:
        error = best_match(make_validator(schema).iter_errors(value))
    except SchemaError as fault:
        return f"the schema of {key!r} is not a JSON Schema: {_short(fault.message)} at {fault.json_path}"
    except Unresolvable as fault:
        return f"the schema of {key!r} refers to {fault.ref!r}, which is not in it"
    except RecursionError:
        return f"the schema of {key!r} refers to itself without end"
    return f"{key}{error.json_path[1:]}: {_short(error.message)}" if error else ""


def make_validator(schema: Any) -> Validator:  # noqa: ANN401  jsonschema takes a schema as it comes
    """Make the validator of a checked schema; raise `SchemaError` for what is none."""
    from jsonschema import Draft202012Validator, SchemaError, validators
    from referencing import Registry  # noqa: PLC0415  a part of jsonschema

    if not isinstance(schema, (dict, bool)):
        message = f"{schema!r} is neither a dict nor true or false"
        raise SchemaError(message)
    draft = schema.get("$schema", "") if isinstance(schema, dict) else ""
    # Without this default, an unknown draft is answered with a warning.
    default: Any = None if draft else Draft202012Validator
    kind: Any = validators.validator_for(schema, default=default) if isinstance(draft, str) else None
    if kind is None:
        message = f"the draft {draft!r} is not known"
        raise SchemaError(message)
    kind.check_schema(schema)
    # An empty registry keeps a reference to another document from being fetched over the network.
    validator: Validator = kind(schema, registry=Registry())
    return validator


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


_CHECKS: tuple[Callable[[SuccessRules, StepEvidence, Scope], Iterator[Failure]], ...] = (
    _exit_codes,
    _envelopes,
    _outputs,
    _context_keys,
    _files,
    _schemas,
    _expectations,
)
