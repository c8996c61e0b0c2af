"""Answer for steps from a file instead of running them, and write such a file from what a run recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from orchestrator.context import Change
from orchestrator.envelope import Envelope
from orchestrator.errors import Problem
from orchestrator.jsonsafe import dumps
from orchestrator.keys import did_you_mean
from orchestrator.recipe.words import WrittenKey
from orchestrator.sources import Source, refusal
from orchestrator.strict_yaml import parse

SCHEMA_ID = "matterstack/stubs/v1"
OPERATOR_KEY = "stub"
OUTCOME = "stubbed"
CODE = "MS212"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_BREAKING = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
_PARTS = re.compile(r"\[[^\]]*\]|@[0-9]+")


class Stub(BaseModel):
    """What a step answers: values for the context, or an error; the first ``fail_times`` attempts fail."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    status: Literal["ok", "error"] = "ok"
    outputs: dict[WrittenKey, JsonValue] = Field(default_factory=dict)
    reason: str = "the stub says so"
    exit_code: int = Field(1, ge=1, le=255)
    fail_times: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _errors_write_nothing(self) -> Self:
        if self.status == "error" and (self.outputs or self.fail_times):
            message = "a stub of status 'error' has neither 'outputs' nor 'fail_times'"
            raise ValueError(message)
        return self

    def answer(self, step: str, attempt_index: int, *, exit_code: int) -> tuple[Envelope, int, tuple[Change, ...]]:
        """Give the envelope, exit code and writes of an attempt, counted from 1; ``exit_code`` is that of success."""
        if self.status == "ok" and attempt_index > self.fail_times:
            changes = tuple(Change(key, dumps(value, key), step) for key, value in self.outputs.items())
            return Envelope(outputs=tuple(self.outputs), step=step), exit_code, changes
        failed = Envelope(status="error", reason=self.reason, exit_code=self.exit_code, step=step)
        return failed, self.exit_code, ()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_id: Literal["matterstack/stubs/v1"] = Field(alias="schema")
    stubs: dict[str, Stub]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """The stubs of a run, by what they are for: a task's id, a step's name, or either with ``*`` for any text."""

    by_name: Mapping[str, Stub]

    def find(self, task_id: str) -> Stub | None:
        """Give the stub of a task: its own, that of its step, or the first whose pattern fits."""
        for name in (task_id, _PARTS.sub("", task_id)):
            if name in self.by_name:
                return self.by_name[name]
        return next((stub for name, stub in self.by_name.items() if "*" in name and _fits(name, task_id)), None)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the stubs as they are kept with a run."""
        return {name: stub.model_dump(mode="json", exclude_unset=True) for name, stub in self.by_name.items()}

    @classmethod
    def from_json(cls, kept: Mapping[str, JsonValue]) -> Stubs:
        """Give the stubs that were kept with a run."""
        return cls(by_name={name: Stub.model_validate(stub) for name, stub in kept.items()})


def stubs_text(run_id: str, answers: Iterable[tuple[str, Stub]]) -> str:
    """Write the stubs of tasks as a file, each value as JSON, which YAML reads as it is."""
    lines = [f"# What the steps of run {run_id} answered.", f"schema: {SCHEMA_ID}", "stubs:"]
    for name, stub in answers:
        lines.append(f"  {_key(name)}:")
        said = stub.model_dump(mode="json", exclude_unset=True, exclude={"outputs"})
        lines += [f"    {key}: {_json(value)}" for key, value in said.items()]
        lines += ["    outputs:"] if stub.outputs else ["    outputs: {}"] if not said else []
        lines += [f"      {_key(key)}: {_json(value)}" for key, value in stub.outputs.items()]
    return "\n".join(lines) + "\n"


def _json(value: JsonValue) -> str:
    """Write JSON that YAML reads the same: what it would take for the end of a line is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _BREAKING.sub(lambda found: "\\u" + f"{ord(found[0]):04x}", text)


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _json(name)


def read_stubs(source: Source, steps: Iterable[str]) -> Stubs:
    """Read a file of stubs for these steps, those of used recipes as ``report/fit``.

    Raises `InvalidFileError` (MS212) with every fault, and with every stub that belongs to no step.
    """
    try:
        file = _File.model_validate(parse(source))
    except ValidationError as error:
        raise refusal(
            _problem(detail["loc"], detail["msg"], detail["type"], source) for detail in error.errors()
        ) from None
    known = list(steps)
    if strays := [name for name in file.stubs if not _belongs(name, known)]:
        raise refusal(_stray(name, known, source) for name in strays)
    return Stubs(by_name=file.stubs)


def _fits(pattern: str, task_id: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), task_id) is not None


def _belongs(name: str, steps: Iterable[str]) -> bool:
    bare = _PARTS.sub("", name)
    return any(_fits(bare, step) for step in steps)


def _stray(name: str, steps: list[str], source: Source) -> Problem:
    hint = did_you_mean(_PARTS.sub("", name), steps) or f"the steps are: {', '.join(steps)}"
    return Problem(CODE, f"no step {name!r} is run", source.place(("stubs", name), of_key=True), hint)


def _problem(path: tuple[str | int, ...], message: str, kind: str, source: Source) -> Problem:
    if kind == "extra_forbidden":
        place = source.place(path, of_key=True)
        return Problem(CODE, f"unknown key {str(path[-1])!r}", place, f"a stub has {', '.join(Stub.model_fields)}")
    if kind == "missing":
        return Problem(
            CODE, f"the key {str(path[-1])!r} is missing", source.place(path[:-1]), f"as in 'schema: {SCHEMA_ID}'"
        )
    return Problem(CODE, message.removeprefix("Value error, ").lower(), source.place(path))
