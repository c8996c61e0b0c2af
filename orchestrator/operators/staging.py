"""Put what an attempt needs into its directory: whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.catalog import Project, file_sha256, find_file
from orchestrator.errors import ScriptletError
from orchestrator.files import fill_file, filling_directory, sweep_temporaries
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import MANIFEST, OWN, SNAPSHOT
from orchestrator.operators.assignments import Assignment
from orchestrator.wiring.keys import kind_of

PARAMS, CONTEXT, CHANGES, CLAIM = f"{OWN}/params.json", f"{OWN}/context.json", f"{OWN}/changes.json", f"{OWN}/claim"


def files_to_stage(given: Mapping[str, JsonValue], project: Project, run_root: Path) -> dict[str, JsonValue]:
    """Say what each file of a step is to hold: its text, or the digest of a source below the project.

    A text names a source, ``{content: text}`` is that text, and any other value becomes a JSON document. Raises
    `ScriptletError` for a source that is not there or outside of the project, or that cannot be read.
    """
    return {name: _origin(name, value, project, run_root) for name, value in given.items()}


def _origin(name: str, value: JsonValue, project: Project, run_root: Path) -> JsonValue:
    if isinstance(value, dict) and value.keys() == {"content"} and isinstance(value["content"], str):
        return {"text": value["content"]}
    if not isinstance(value, str):
        return {"text": f"{dumps(value, name)}\n"}
    return source_of(find_file(project, value), run_root)


def source_of(path: Path, run_root: Path) -> dict[str, JsonValue]:
    """Give a source as it is recorded: where it lies from the run, so that a project can be moved, and its digest.

    Raises `ScriptletError` for one that cannot be read.
    """
    try:
        return {"source": os.path.relpath(path, run_root), "sha256": file_sha256(path)}
    except OSError as error:
        message = f"{path} cannot be read: {(error.strerror or '').lower()}"
        raise ScriptletError(message, hint="let whoever runs this read it", code="MS206") from error


def stage(
    assignment: Assignment,
    texts: Mapping[str, bytes] | None = None,
    manifest: Mapping[str, JsonValue] | None = None,
    *,
    durable: bool = False,
) -> Mapping[str, JsonValue]:
    """Make the directory of an attempt, unless it is there; return the digest of what the attempt is told.

    ``texts`` are further files, and ``manifest`` what its manifest says beside what all say. All of it follows from the
    state file, and a machine that loses it has lost what ran there too: it is synced where ``durable``. Raises
    `ScriptletError` where a source changed since the attempt was opened, or is gone.
    """
    work = json.dumps({"params": assignment.params, "work": assignment.work}, ensure_ascii=False, indent=2).encode()
    digest = hashlib.sha256(work).hexdigest()
    if not assignment.folder.exists():
        sweep_temporaries(assignment.folder.parent)
        with filling_directory(assignment.folder, durable=durable) as folder:
            (folder / SNAPSHOT).mkdir()
            for name in {OWN, *(name.partition("/")[0] for name in texts or {} if "/" in name)}:
                (folder / name).mkdir()
            fill_file(folder / SNAPSHOT / "work.json", work)
            fill_file(folder / SNAPSHOT / MANIFEST, _snapshot(work, digest))
            fill_file(folder / MANIFEST, _manifest(assignment, manifest or {}))
            for name, content in (texts or {}).items():
                fill_file(folder / name, content)
            for name, origin in assignment.work.get("files", {}).items():
                _put(assignment, folder / name, origin)
    return {"config_hash": digest}


def _manifest(assignment: Assignment, more: Mapping[str, JsonValue]) -> bytes:
    return json_file(
        {
            "task_id": assignment.task_id,
            "attempt_id": assignment.attempt_id,
            "attempt_index": assignment.attempt_index,
            "operator_key": assignment.operator_key,
            "kind": kind_of(assignment.operator_key),
            "files": sorted(assignment.work.get("files", {})),
            **more,
        }
    )


def _snapshot(work: bytes, digest: str) -> bytes:
    file = {"snapshot_path": "work.json", "source": "attempt", "sha256": digest, "size_bytes": len(work)}
    return json_file({"spec_version": 1, "combined_hash": digest, "files": [file]})


def _put(assignment: Assignment, target: Path, origin: Mapping[str, Any]) -> None:
    """Write one file of a step, as it was when the attempt was opened."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if "text" in origin:
        fill_file(target, origin["text"].encode("utf-8", "surrogatepass"))
        return
    source = assignment.run_root / origin["source"]
    try:
        content = source.read_bytes()
    except OSError as error:
        message = f"{source.name} cannot be read any more: {(error.strerror or '').lower()}"
        raise ScriptletError(message, hint="retry, which takes what is there then", code="MS307") from error
    if hashlib.sha256(content).hexdigest() != origin["sha256"]:
        message = f"{source.name} changed while the attempt was begun"
        raise ScriptletError(message, hint="retry, which takes the file as it is then", code="MS307")
    fill_file(target, content, mode=source.stat().st_mode & 0o777)


def json_file(document: Mapping[str, Any]) -> bytes:
    """Give a document as the bytes of a file for people."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "surrogatepass")
