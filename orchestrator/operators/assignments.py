"""Say what an operator is to carry out and what it says of it: the values that pass between it and the runner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from orchestrator.clock import seconds_since
from orchestrator.envelope import Envelope, failure
from orchestrator.errors import ScriptletError, UsageError
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.progress import Remark
from orchestrator.states import AttemptState
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_attempts
from orchestrator.wiring.keys import kind_of
from orchestrator.workers.calls import Done

_LISTED_BY = "see 'matterstack attempts'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One attempt in the hands of an operator, as the run has recorded it.

    ``attempt_id`` is unique and the same after a crash, so that what is outside can be told by it. ``params`` are the
    step's arguments, ``work`` is what the operator has to know beside them. ``env`` holds the variables of the step
    with its secrets, and is never recorded. ``asked_at`` and ``uptime`` say when it was opened. ``cancel_asked`` is
    what ends it, where it is to end before its time. ``jobs`` tells of those of a cluster in which it was carried out
    so far.
    """

    run_root: Path
    task_id: str
    attempt_id: str
    attempt_index: int
    operator_key: str
    relative_path: str
    params: Mapping[str, Any]
    work: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    external_id: str = ""
    asked_at: str = ""
    uptime: Mapping[str, JsonValue] = field(default_factory=dict)
    cancel_asked: str = ""
    jobs: Sequence[JsonValue] = ()

    @property
    def is_question(self) -> bool:
        """Tell whether people are to answer it."""
        return kind_of(self.operator_key) == "human"

    @property
    def folder(self) -> Path:
        """Give the attempt's directory."""
        return self.run_root / self.relative_path

    @property
    def age_sec(self) -> float:
        """Give the seconds since the attempt was opened, whatever the time of day was set to since."""
        return seconds_since(self.asked_at, self.uptime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What an operator knows of an attempt: its state, and once it has ended also what came of it.

    ``note`` tells people what stands in the way; ``operator_data`` is kept with the attempt. One that could not be
    begun and ``is_final`` would be refused again, unless it asks for more of what the refusal is ``about``. A sighting
    with a ``remark`` tells people of what the operator waits for, and nothing of the attempt.
    """

    attempt_id: str
    state: AttemptState
    external_id: str = ""
    note: str = ""
    operator_data: Mapping[str, JsonValue] = field(default_factory=dict)
    done: Done | None = None
    is_final: bool = False
    about: frozenset[str] = frozenset()
    remark: Remark | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Give it as params of the core scriptlet that records it."""
        return {
            "state": self.state.value,
            "external_id": self.external_id,
            "operator_data": dict(self.operator_data),
        }


class Operator(Protocol):
    """Whoever carries out the attempts of one operator key; a thread of its own calls it.

    It holds an attempt from `submit` or `adopt` until it has told of its end. What cannot be done now, such as reaching
    a cluster, is told as a state (UNKNOWN, MISSING) with a note, and never as the end of an attempt.
    """

    @property
    def looks_every_sec(self) -> float | None:
        """Give how long to wait between looks; None where `fileno` tells when there is something to see."""

    def fileno(self) -> int | None:
        """Give a descriptor that can be read when something happened, if there is one."""

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Begin attempts that wait together, and say where each stands. What was begun before a crash is begun no more.

        One that cannot be begun is told as FAILED_INIT, and it alone; `one_by_one` sees to that.
        """

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Take hold of attempts that another process has begun, and begin nothing; say what is known without a look."""

    def look(self) -> Iterator[Sighting]:
        """Give what changed since it was last told; attempts of which there is nothing new are left out."""

    def cancel(self, attempts: Collection[str]) -> None:
        """Ask that attempts which it holds end; `look` tells when they have."""

    def close(self) -> None:
        """Let go of what this process holds; attempts go on."""


def one_by_one(assignments: Sequence[Assignment], begin: Callable[[Assignment], Sighting]) -> Iterator[Sighting]:
    """Begin attempts by ``begin``, each for itself; where that raises `ScriptletError`, the attempt is not begun."""
    for assignment in assignments:
        try:
            sighting = begin(assignment)
        except ScriptletError as error:
            sighting = not_begun(assignment, error.explained())
        yield sighting


def not_begun(assignment: Assignment, reason: str) -> Sighting:
    """Say that an attempt could not be begun."""
    return Sighting(attempt_id=assignment.attempt_id, state=AttemptState.FAILED_INIT, note=reason)


def assignment_of(database: Database, row: AttemptRow, env: Mapping[str, str] | None = None) -> Assignment:
    """Give an attempt as its operator knows it."""
    return Assignment(
        run_root=database.run_root,
        task_id=row.task_id,
        attempt_id=row.attempt_id,
        attempt_index=row.attempt_index,
        operator_key=row.operator_key or "",
        relative_path=row.relative_path or "",
        params=row.params,
        work=row.operator_data.get("work", {}),
        env=env or {},
        external_id=row.external_id or "",
        asked_at=row.created_at,
        uptime=row.operator_data.get("uptime", {}),
        cancel_asked=row.operator_data.get("cancel_asked", ""),
        jobs=row.operator_data.get("jobs", ()),
    )


def answered(
    assignment: Assignment, key: str, value: JsonValue, operator_data: Mapping[str, JsonValue], *, error: str = ""
) -> Done:
    """Turn what people or an instrument answered into what came of a call, as if a program had given it.

    The value goes under the step's own ``key``; with an ``error``, the step has failed.
    """
    step = assignment.work["step"]
    envelope = failure(error, step=step) if error else Envelope(values={f"{step}.{key}": value})
    return Done(
        attempt_id=assignment.attempt_id,
        exit_code=1 if error else 0,
        stdout=dumps(envelope.to_json()),
        duration_sec=assignment.age_sec,
        operator_data=operator_data,
    )


def unrestored(assignment: Assignment, key: str, error: ScriptletError) -> Sighting:
    """Say that an attempt has failed whose directory was removed, since it cannot be made as it was."""
    reason = f"its directory was removed and cannot be made again: {error.message}"
    done = answered(assignment, key, {}, {}, error=reason)
    return Sighting(attempt_id=assignment.attempt_id, state=AttemptState.COLLECTING, done=done)


def find_assignment(database: Database, task_id: str, attempt_id: str) -> Assignment:
    """Give an attempt by its ids; raise `UsageError` for one that there is not, or that is in nobody else's hands."""
    row = find_attempt(database, task_id, attempt_id)
    if not row.is_external:
        raise UsageError(f"attempt {attempt_id} of {task_id} is in the hands of no operator", hint=_LISTED_BY)
    return assignment_of(database, row)


def find_attempt(database: Database, task_id: str, attempt_id: str) -> AttemptRow:
    """Give the record of an attempt by its ids; raise `UsageError` for one that there is not."""
    for row in read_attempts(database, task_id):
        if row.attempt_id == attempt_id:
            return row
    raise UsageError(f"{task_id} has no attempt {attempt_id!r}", hint=_LISTED_BY)
