"""Read what an instrument says, strictly: a result, or an answer that may hold one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.layout import EXIT_CODE, MANIFEST, OF_MEASUREMENTS, STDERR, STDOUT
from orchestrator.operators.answers import NotYetError, opened
from orchestrator.operators.instruments.measurement import (
    BUSY,
    COMPLETED,
    ENDED,
    FAILED,
    RUNNING,
    UNKNOWN,
    WAITING,
    Reading,
    Request,
)

CAP_BYTES = 8 * 1024 * 1024
MAX_FILES = 1000

_IDENTITY = frozenset({"token", "task_id"})
_RESULT_KEYS = _IDENTITY | {"status", "data", "files", "error"}
_ANSWER_KEYS = _IDENTITY | {"state", "note"}
_STATES = (WAITING, RUNNING, ENDED, UNKNOWN, BUSY)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_PATH = 400
_MAX_TEXT = 2000
# What the program itself keeps in the directory of a measurement.
_OWN = OF_MEASUREMENTS | {MANIFEST, STDOUT, STDERR, EXIT_CODE}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file that belongs to a result; ``sha256`` is empty where the instrument does not say it."""

    name: str
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an instrument said, and the files that it names, which nobody has looked at."""

    reading: Reading
    files: tuple[ResultFile, ...] = ()


def read_answer(document: Mapping[str, Any], request: Request) -> Said:
    """Read the answer to a call, as ``{"state": "running", "note": "…"}``; raise `NotYetError` for what is none."""
    state = document.get("state")
    if state not in _STATES:
        raise NotYetError(f"expected the state waiting, running or ended, got {_shown(state)}")
    _check_keys(document, _ANSWER_KEYS | _RESULT_KEYS if state == ENDED else _ANSWER_KEYS)
    note = _text(document, "note")
    if state != ENDED:
        _check_identity(document, request)
        return Said(reading=Reading(state=state, note=note))
    return read_result({name: part for name, part in document.items() if name in _RESULT_KEYS}, request)


def read_result(document: Mapping[str, Any], request: Request) -> Said:
    """Read a result, as ``{"status": "COMPLETED", "data": {…}, "files": […]}``; raise `NotYetError` for others."""
    _check_keys(document, _RESULT_KEYS)
    _check_identity(document, request)
    status = document.get("status")
    if status not in {COMPLETED, FAILED}:
        raise NotYetError(f"expected the status COMPLETED or FAILED, got {_shown(status)}")
    files = _files(document, request)
    reading = Reading(
        state=ENDED,
        status=status,
        data=document.get("data", {}),
        files=tuple(file.name for file in files),
        error=_text(document, "error") or ("" if status == COMPLETED else "the instrument gives no reason"),
    )
    return Said(reading=reading, files=files)


def checked(said: Said, folder: Path) -> Reading:
    """Give a reading whose files lie in a folder as they should; raise `NotYetError` with the first that does not."""
    for file in said.files:
        try:
            check_file(folder, file)
        except NotYetError as error:
            raise NotYetError(f"file {file.name!r}: {error}") from error
    return said.reading


def check_file(folder: Path, file: ResultFile) -> None:
    """Raise `NotYetError` where a file is not there, is none of its own, or is not the one that was meant."""
    with opened(folder, file.name) as descriptor:
        if not file.sha256:
            return
        with open(descriptor, "rb", closefd=False) as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise NotYetError("it has another sha256 than the result says")


def _files(document: Mapping[str, Any], request: Request) -> tuple[ResultFile, ...]:
    listed = document.get("files", [])
    if not isinstance(listed, list) or len(listed) > MAX_FILES:
        raise NotYetError(f"expected a list of at most {MAX_FILES} files")
    files = tuple(_file(entry) for entry in listed)
    folded = [file.name.lower() for file in files]
    taken = {name.lower() for name in (*_OWN, *request.files)}
    for file, name in zip(files, folded, strict=True):
        if name in taken:
            raise NotYetError(f"file {file.name!r} has a name that is taken")
        if folded.count(name) > 1:
            raise NotYetError(f"file {file.name!r} is listed twice")
    return files


def _file(entry: object) -> ResultFile:
    given = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or not {"name"} <= given.keys() <= {"name", "sha256"}:
        raise NotYetError(f"expected a file's name, or its name and sha256, got {_shown(entry)}")
    name, sha256 = given["name"], given.get("sha256", "")
    if not isinstance(name, str) or len(name) > _MAX_PATH or not all(map(_PART.fullmatch, name.split("/"))):
        raise NotYetError(f"file {_shown(name)} has no name that is allowed")
    if not isinstance(sha256, str) or ("sha256" in given and not _SHA256.fullmatch(sha256)):
        raise NotYetError(f"file {name!r}: expected the sha256 as 64 hexadecimal digits")
    return ResultFile(name=name, sha256=sha256)


def _check_keys(document: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(document.keys() - known):
        raise NotYetError(f"unknown key {_shown(unknown[0])}")


def _check_identity(document: Mapping[str, Any], request: Request) -> None:
    for name in sorted(_IDENTITY & document.keys()):
        if document[name] != getattr(request, name):
            raise NotYetError(f"it answers another request: {name} is {_shown(document[name])}")


def _text(document: Mapping[str, Any], name: str) -> str:
    text = document.get(name, "")
    if not isinstance(text, str):
        raise NotYetError(f"expected text as the {name}, got {_shown(text)}")
    return text[:_MAX_TEXT]


def _shown(value: object) -> str:
    return repr(value)[:100]
