"""Read questions from the folder that people share, as somebody does who may not read the run."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import UsageError
from orchestrator.files import TEMPORARY
from orchestrator.layout import INSTRUCTIONS, MANIFEST, SCHEMA
from orchestrator.operators.answers import NotYetError, document_of, opened, user_name
from orchestrator.operators.asking import Question

_CAP_BYTES = 16 * 1024 * 1024


class _Manifest(BaseModel):
    """What the manifest of a posting says of its question."""

    model_config = ConfigDict(frozen=True, strict=True)

    run_id: str
    task_id: str
    attempt_id: str
    approvals: Annotated[int, Field(ge=1)]
    approvers: list[str]
    separation_of_duty: bool
    deadline_at_utc: str | None
    then: str
    files: list[str]
    shown_sha256: str


def posted_in(folder: Path) -> list[Question]:
    """Give the questions that are posted in a folder, by name; what is none, or not for this user, is left out."""
    found = []
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(UsageError):
            if is_posting(path) and not path.name.startswith(TEMPORARY):
                found.append(read_posted(path))
    return found


def is_posting(folder: Path) -> bool:
    """Tell whether a folder holds a question."""
    try:
        return not folder.is_symlink() and (folder / MANIFEST).is_file()
    except OSError:  # not for this user
        return False


def read_posted(folder: Path) -> Question:
    """Give a question as it is posted; raise `UsageError` where it cannot be read, or is not what its manifest says."""
    folder = folder.absolute()
    try:
        said = _Manifest.model_validate(document_of(_read(folder, MANIFEST)))
        files = {name: {"sha256": _sha256(folder, name)} for name in said.files}
        question = Question(
            folder=folder,
            posting=folder,
            owner=folder.lstat().st_uid,
            run_id=said.run_id,
            task_id=said.task_id,
            attempt_id=said.attempt_id,
            instructions=_read(folder, INSTRUCTIONS).decode("utf-8", "surrogatepass"),
            schema=document_of(_read(folder, SCHEMA)),
            approvals=said.approvals,
            approvers=tuple(said.approvers),
            separation_of_duty=said.separation_of_duty,
            deadline_at=said.deadline_at_utc or "",
            then=said.then,
            asked_by=user_name(folder.lstat().st_uid),
            files=files,
        )
    except (NotYetError, ValidationError, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no question can be read from {folder}", hint="see who owns it, and its mode") from error
    if question.sha256 != said.shown_sha256:
        raise UsageError(f"what lies in {folder} is not what was asked", hint="ask who posted it")
    return question


def _sha256(folder: Path, name: str) -> str:
    with opened(folder, name) as descriptor, open(descriptor, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path, name: str) -> bytes:
    with opened(folder, name) as descriptor, open(descriptor, "rb", closefd=False) as file:
        return file.read(_CAP_BYTES)
