"""Judge what came of a call: read the envelope, check the success rules, and say in one line what failed first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.checks import StepEvidence, SuccessRules, judge
from orchestrator.context import Change, Context
from orchestrator.envelope import Envelope, parse_envelope
from orchestrator.errors import EnvelopeError, ExpressionError, NotJsonSafeError
from orchestrator.expressions import Scope, evaluate, has_expression, resolve
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.selecting import is_selector, read_selected
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

INTERRUPTED = "interrupted"
CANCELLED = "cancelled by "

# The states of attempts that did not end by themselves, by the first word of what ended them.
_FAULTS = {
    "timeout": AttemptState.TIMEOUT,
    INTERRUPTED: AttemptState.CANCELLED,
    "cancelled": AttemptState.CANCELLED,
    "lost": AttemptState.LOST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Why an attempt did not succeed: a documented code, a line for people, and the rule that said so."""

    code: str
    reason: str
    rule: str = ""
    index: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An attempt as judged. ``cause`` is what retry rules speak of: ``error`` or ``timeout``; empty on success.

    One that was lost is nobody's failure, and of that no rule speaks.
    """

    status: AttemptState
    outcome: str
    envelope: Envelope
    changes: tuple[Change, ...]
    failing: Failing | None = None
    cause: str = ""

    @property
    def reason(self) -> str:
        """Give the failure in one line, empty on success."""
        return self.failing.reason if self.failing else ""


def judge_done(
    done: Done,
    *,
    step: str,
    rules: SuccessRules,
    save: Mapping[str, str] | None = None,
    context: Context,
    names: Mapping[str, JsonValue],
    folder: Path | None = None,
    missing: Callable[[Sequence[str]], tuple[str, ...]] = lambda _: (),
    free_stdout: bool = False,
) -> Verdict:
    """Turn a finished call into a verdict; the first of fault, exit code, envelope and success rules decides.

    ``missing`` tells which of some files are not there, and ``folder`` is where the step worked, if that is not here.
    """
    if done.fault:
        return _faulted(done)
    try:
        envelope = Envelope(step=step) if free_stdout else _envelope(done, rules)
        changes = (*done.changes, *_written(envelope, step))
    except (EnvelopeError, NotJsonSafeError) as error:
        return _failed(done, Failing(code=error.code, reason=error.message, rule="envelope"))
    after = context.fork()
    after.apply(changes)
    scope = Scope(names={**names, "result": _result(envelope)}, ctx=after)
    if save and envelope.is_ok:
        try:
            saved = tuple(_saved(save, scope, step, folder))
        except (ExpressionError, NotJsonSafeError) as error:
            unsaved = Failing(code=error.code, reason=f"save: {error}", rule="save", detail=error.hint)
            return _failed(done, unsaved, envelope, changes)
        changes = (*changes, *saved)
        after.apply(saved)
    evidence = StepEvidence(
        exit_code=done.exit_code,
        envelope_status=envelope.status,
        reason=envelope.reason,
        outputs=envelope.outputs,
    )
    failing = _first_failing(rules, evidence, scope, missing)
    if failing and failing.rule == "exit_code" and not envelope.reason:
        failing = dataclasses.replace(failing, reason=_with_last_line(failing.reason, done))
    if failing is None:
        return Verdict(status=AttemptState.COMPLETED, outcome="ok", envelope=envelope, changes=changes)
    return _failed(done, failing, envelope, changes)


def refused(failing: Failing, changes: tuple[Change, ...]) -> Verdict:
    """Give the verdict of a step that failed for a reason that lies outside its own rules."""
    envelope = Envelope(status="error", reason=failing.reason, exit_code=1)
    return Verdict(
        status=AttemptState.FAILED,
        outcome=failing.rule,
        envelope=envelope,
        changes=changes,
        failing=failing,
        cause="error",
    )


def rehearsed() -> Verdict:
    """Give the verdict of a step that was not run, since its operator only rehearses."""
    return Verdict(status=AttemptState.COMPLETED, outcome="dry run", envelope=Envelope(), changes=())


def masked(verdict: Verdict, mask: Callable[[str], str]) -> Verdict:
    """Give a verdict whose texts went through ``mask``."""
    text = dumps(verdict.envelope.to_json())
    if mask(text) == text and (verdict.failing is None or mask(verdict.reason) == verdict.reason):
        return verdict
    failing = verdict.failing and dataclasses.replace(
        verdict.failing, reason=mask(verdict.failing.reason), detail=mask(verdict.failing.detail)
    )
    return dataclasses.replace(verdict, envelope=parse_envelope(mask(text)), failing=failing)


def _saved(save: Mapping[str, str], scope: Scope, step: str, folder: Path | None) -> Iterator[Change]:
    """Evaluate what a step saves: a bare expression, or ``file.json:path`` for a value in a result file."""
    for key, source in save.items():
        value = read_selected(source, folder) if is_selector(source) else evaluate(source, scope)
        yield Change(key, dumps(value, key), step)


def _first_failing(
    rules: SuccessRules, evidence: StepEvidence, scope: Scope, missing: Callable[[Sequence[str]], tuple[str, ...]]
) -> Failing | None:
    try:
        named = _with_file_names(rules, scope)
    except ExpressionError as error:
        unnamed = Failing(code=error.code, reason=str(error), rule="files_exist", detail=error.hint)
        return _disagreement(_before_files(rules), evidence, scope) or unnamed
    missing_files = missing(named.files_exist)
    return _disagreement(named, dataclasses.replace(evidence, missing_files=missing_files), scope)


def _disagreement(rules: SuccessRules, evidence: StepEvidence, scope: Scope) -> Failing | None:
    failure = judge(rules, evidence, scope)
    if failure is None:
        return None
    return Failing(
        code=failure.code, reason=failure.message, rule=failure.rule, index=failure.index, detail=failure.detail
    )


def _with_file_names(rules: SuccessRules, scope: Scope) -> SuccessRules:
    """Evaluate the expressions in the names of the files that must exist."""
    if not any(map(has_expression, rules.files_exist)):
        return rules
    names = (resolve(name, scope) for name in rules.files_exist)
    return dataclasses.replace(rules, files_exist=tuple(str(name) for name in names))


def _before_files(rules: SuccessRules) -> SuccessRules:
    """Give the rules that are judged before the files: a key that is missing may be why a file has no name."""
    return SuccessRules(ctx_has_keys=rules.ctx_has_keys, exit_code=rules.exit_code)


def _envelope(done: Done, rules: SuccessRules) -> Envelope:
    """Read the envelope; a program that exits with the wrong code and says nothing is judged by its code."""
    if done.stdout_dropped:
        raise EnvelopeError(f"standard output is {done.stdout_dropped} bytes longer than the cap of 1 MiB")
    if done.stdout_stray_byte:
        raise EnvelopeError(f"standard output is not UTF-8: {done.stdout_stray_byte}")
    if done.exit_code != rules.exit_code and not done.stdout.strip():
        return Envelope()
    return parse_envelope(done.stdout)


def _written(envelope: Envelope, step: str) -> tuple[Change, ...]:
    return tuple(Change(key, dumps(value, key), step) for key, value in envelope.values.items())


def _result(envelope: Envelope) -> dict[str, Any]:
    return {**envelope.to_json(), "outputs": list(envelope.outputs)}


def _faulted(done: Done) -> Verdict:
    timed_out = done.fault.startswith("timeout")
    return Verdict(
        status=_FAULTS.get(done.fault.partition(" ")[0].rstrip(":"), AttemptState.FAILED),
        outcome=done.fault,
        envelope=Envelope(status="error", reason=done.fault, exit_code=done.exit_code or 1),
        changes=done.changes,
        failing=Failing(code="MS304" if timed_out else "MS301", reason=_with_last_line(done.fault, done), rule="fault"),
        cause="timeout" if timed_out else "error",
    )


def _failed(
    done: Done, failing: Failing, envelope: Envelope | None = None, changes: tuple[Change, ...] | None = None
) -> Verdict:
    outcome = f"exit {done.exit_code}" if done.exit_code else failing.rule or "failed"
    return Verdict(
        status=AttemptState.FAILED,
        outcome=outcome,
        envelope=envelope or Envelope(status="error", reason=failing.reason, exit_code=done.exit_code or 1),
        changes=done.changes if changes is None else changes,
        failing=failing,
        cause="error",
    )


def _with_last_line(fault: str, done: Done) -> str:
    lines = done.stderr.strip().splitlines()
    return f"{fault}; last stderr line: {lines[-1][:200]}" if lines else fault
