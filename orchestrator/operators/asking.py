"""What people are asked and what they answered, as values."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.answers import user_name
from orchestrator.operators.assignments import Assignment

COMPLETED = "COMPLETED"
FAILED = "FAILED"

_NAME_CAP = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What people are asked in one attempt, as its params say it.

    ``asked_by`` is the user whose run it is and ``owner`` the number of that user, ``asked_at`` when the attempt began.
    ``posting`` is where the question lies in the folder that people share, if there is one. Somebody who answers it
    there knows no other ``folder``.
    """

    folder: Path
    task_id: str
    attempt_id: str
    run_id: str = ""
    instructions: str
    schema: Mapping[str, JsonValue] = field(default_factory=dict)
    approvals: int = 1
    approvers: tuple[str, ...] = ()
    separation_of_duty: bool = False
    deadline_at: str = ""
    then: str = "fail"
    asked_by: str = ""
    owner: int = 0
    asked_at: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)
    posting: Path | None = None

    @property
    def is_seen_by_others(self) -> bool:
        """Tell whether this is the view of somebody who may not read the run."""
        return self.posting == self.folder

    @property
    def sha256(self) -> str:
        """Give the digest of what is shown: the instructions, the schema that an answer must fit, and the files."""
        shown = f"{self.instructions}\0{json.dumps(self.schema, sort_keys=True)}"
        if self.files:
            digests = {name: digest_of(origin) for name, origin in self.files.items()}
            shown += f"\0{json.dumps(digests, sort_keys=True)}"
        return _digest(shown)

    def terms(self) -> dict[str, JsonValue]:
        """Give what a manifest says of how it is answered, wherever the question lies."""
        return {
            "approvals": self.approvals,
            "approvers": list(self.approvers),
            "deadline_at_utc": self.deadline_at or None,
            "then": self.then,
            "shown_sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer of one person: who gave it, when, and in which file, by its name among the responses.

    What was written is ``raw``, left out once it is kept, and its digest ``sha256``.
    """

    status: str
    data: JsonValue
    error: str
    by: str
    at_utc: str
    file: str
    sha256: str
    raw: bytes = field(default=b"", repr=False)

    def to_json(self) -> dict[str, JsonValue]:
        """Give who answered what, when and where, as it is recorded with the attempt; what was said is left out."""
        return {
            "by": self.by,
            "at_utc": self.at_utc,
            "status": self.status,
            "file": self.file,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A response whose data do not fit the schema: where it lies, how it is told of, and whether out of the way."""

    path: Path
    told: str
    is_aside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: nothing yet, with what stands in the way, or an end with those who brought it about."""

    status: str = ""
    data: JsonValue = None
    error: str = ""
    responses: tuple[Response, ...] = ()
    waits_for: str = ""
    refused: tuple[Refusal, ...] = ()


def question_of(assignment: Assignment) -> Question:
    """Give what is asked in an attempt."""
    work, owner = assignment.work, assignment.run_root.stat().st_uid
    return Question(
        folder=assignment.folder,
        run_id=assignment.run_root.name,
        task_id=assignment.task_id,
        attempt_id=assignment.attempt_id,
        instructions=str(assignment.params["instructions"]),
        schema=work.get("response_schema") or {},
        approvals=work.get("approvals", 1),
        approvers=tuple(work.get("approvers", ())),
        separation_of_duty=work.get("separation_of_duty", False),
        deadline_at=work.get("deadline_at", ""),
        then=work.get("then", "fail"),
        asked_at=assignment.asked_at,
        files=work.get("files", {}),
        asked_by=user_name(owner),
        owner=owner,
        posting=_posting(assignment, work.get("shared_folder", "")),
    )


def digest_of(origin: Mapping[str, Any]) -> str:
    """Give the digest of a file that is shown, by what was recorded of it: its text, or its source."""
    return _digest(origin["text"]) if "text" in origin else str(origin["sha256"])


def current_user() -> str:
    """Give the name of the user whose process this is."""
    return user_name(os.getuid())


def _posting(assignment: Assignment, shared: str) -> Path | None:
    """Give where a question is posted, under a name that says whose it is and that no other has."""
    if not shared:
        return None
    task = re.sub(r"[^A-Za-z0-9._=+-]+", "_", assignment.task_id)[:_NAME_CAP]
    return Path(shared) / f"{assignment.run_root.name}-{task}-{assignment.attempt_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
