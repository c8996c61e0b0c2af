"""Post questions in a folder that the people who may answer share, and take them away when they have ended."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.errors import InfrastructureError, ScriptletError
from orchestrator.files import TEMPORARY, new_directory, remove_directory, sweep_directories, write_chunks
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import INSTRUCTIONS, MANIFEST, REFUSED, RESPONSES, SCHEMA
from orchestrator.operators.asking import Question, digest_of
from orchestrator.operators.staging import json_file

CODE = "MS603"

_ROOT = 0
_OF_OTHERS = 0o077


def shared_folder(folder: Path) -> os.stat_result:
    """Give what a folder is in which questions can be posted; raise `ScriptletError` (MS603) where it is no such one.

    This user and others must be able to write in it, and nobody to remove what is somebody else's.
    """
    try:
        found = folder.stat()
    except OSError as error:
        raise _unfit(folder, (error.strerror or "cannot be read").lower()) from error
    if not stat.S_ISDIR(found.st_mode):
        raise _unfit(folder, "is not a directory")
    if not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unfit(folder, "nobody but its owner may write in it")
    if not found.st_mode & stat.S_ISVTX:
        raise _unfit(folder, "whoever may write in it may remove what others wrote (it has no sticky bit)")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _unfit(folder, "this user may not write in it")
    return found


def _unfit(folder: Path, why: str) -> ScriptletError:
    hint = f"make it so: mkdir -p {folder} && chgrp GROUP {folder} && chmod 3770 {folder}"
    return ScriptletError(f"shared_folder {folder}: {why}", hint=hint, code=CODE)


def post(question: Question) -> None:
    """Post a question where its operator has a shared folder, unless it is posted; it appears whole.

    Its group and what others may do are those of the shared folder. Raises `ScriptletError` (MS603) where that cannot
    be.
    """
    if question.posting is None or is_posted(question):
        return
    found = shared_folder(question.posting.parent)
    if os.path.lexists(question.posting):
        message = f"{question.posting} is not from this run's user"
        raise ScriptletError(message, hint="have its owner remove it", code=CODE)
    try:
        sweep_directories(question.posting.parent)
        with new_directory(question.posting) as folder:
            _fill(folder, question)
            _share(folder, found)
    except (OSError, InfrastructureError) as error:
        message = f"cannot post {question.task_id} in {question.posting.parent}: {error}"
        raise ScriptletError(message, hint="check its space, owner and permissions", code=CODE) from error


def is_posted(question: Question) -> bool:
    """Tell whether a question lies in the shared folder, put there by who runs it."""
    return question.posting is not None and _is_own(question.posting, question)


def posted_answers(question: Question) -> tuple[Path, ...]:
    """Give the files in the shared folder in which people may have answered a question."""
    if question.posting is None or not is_posted(question):
        return ()
    given = question.posting.glob(f"{RESPONSES}/*.json")
    found = sorted(path for path in given if not path.name.startswith(TEMPORARY))
    return (*found, *sorted(question.posting.glob(f"{REFUSED}/*.json")))


def withdraw(question: Question) -> None:
    """Take a question out of the shared folder; one that is not there is no error. Raises `InfrastructureError`."""
    if question.posting is not None and is_posted(question):
        remove_directory(question.posting)


def withdraw_all(questions: Iterable[Question]) -> None:
    """Take questions out of shared folders; one that has to stay does no harm, since nobody reads its answers."""
    for question in questions:
        with contextlib.suppress(InfrastructureError):
            withdraw(question)


def _is_own(folder: Path, question: Question) -> bool:
    """Tell whether a folder is one of those who run the question: other people could answer in others' names there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in {_ROOT, os.getuid(), question.owner}


def _fill(folder: Path, question: Question) -> None:
    write_chunks(folder / INSTRUCTIONS, [question.instructions.encode("utf-8", "surrogatepass")])
    write_chunks(folder / SCHEMA, [json_file(question.schema)])
    write_chunks(folder / MANIFEST, [json_file(_manifest(question))])
    for name, origin in question.files.items():
        content = (question.folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest_of(origin):
            message = f"{name} of {question.task_id} is not what the question was asked about"
            raise ScriptletError(message, hint="put the file back, or cancel the attempt", code=CODE)
        write_chunks(folder / name, [content])
    (folder / RESPONSES).mkdir()


def _manifest(question: Question) -> Mapping[str, JsonValue]:
    return {
        "run_id": question.run_id,
        "task_id": question.task_id,
        "attempt_id": question.attempt_id,
        "asked_by": question.asked_by,
        **question.terms(),
        "separation_of_duty": question.separation_of_duty,
        "files": sorted(question.files),
        "answer_with": f"{RESPONSES}/<user>.json",
    }


def _share(folder: Path, shared: os.stat_result) -> None:
    """Let others read all of a posting, and write in the folder of its responses, as they may in the shared folder."""
    read = shared.st_mode & _OF_OTHERS & ~0o022
    inherited = shared.st_mode & stat.S_ISGID
    for path in (*folder.rglob("*"), folder):
        _give_to_group(path, shared)
        if not path.is_dir():
            path.chmod(0o600 | read & ~0o011)
        elif path == folder / RESPONSES:
            path.chmod(0o700 | shared.st_mode & _OF_OTHERS | inherited | stat.S_ISVTX)
        else:
            path.chmod(0o700 | read | inherited)


def _give_to_group(path: Path, shared: os.stat_result) -> None:
    """Give a file to the group of the shared folder; where everybody may use that, the group does not count."""
    if path.stat().st_gid == shared.st_gid:
        return
    try:
        os.chown(path, -1, shared.st_gid)
    except PermissionError as error:
        if not shared.st_mode & stat.S_IWOTH:
            message = f"this user is not of its group {shared.st_gid}"
            raise ScriptletError(message, hint="have this user added to the group", code=CODE) from error
