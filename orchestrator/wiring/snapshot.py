"""Copy the wiring that a run has kept into files that people and tools read, and tell whether they still are it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.files import make_directory, replace_file
from orchestrator.wiring.kept import KeptWiring
from orchestrator.wiring.options import VARIABLE

FOLDER = "operators_snapshot"
TEXT_NAME = "operators.yaml"
METADATA_NAME = "metadata.json"
HISTORY_NAME = "history.jsonl"


def snapshot_files(kept: KeptWiring, slug: str, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """Give the content of each file of the snapshot; all of it follows from the state file."""
    history = "".join(json.dumps(event, ensure_ascii=False, sort_keys=True) + "\n" for event in events)
    metadata = json.dumps(_metadata(kept, slug), ensure_ascii=False, indent=2) + "\n"
    return {
        TEXT_NAME: kept.text.encode("utf-8", "surrogatepass"),
        METADATA_NAME: metadata.encode(),
        HISTORY_NAME: history.encode(),
    }


def _metadata(kept: KeptWiring, slug: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "created_at_utc": kept.created_at,
        "updated_at_utc": kept.updated_at,
        "effective": {
            "source": kept.source,
            "resolved_path": kept.resolved_path,
            "sha256": kept.sha256,
            "snapshot_relpath": f"{FOLDER}/{TEXT_NAME}",
        },
        "provenance": {"workspace_slug": slug, "env_var_name": VARIABLE, **kept.provenance},
        "history_relpath": f"{FOLDER}/{HISTORY_NAME}",
    }


def write_snapshot(run_root: Path, files: dict[str, bytes], prior_sha256: str = "") -> None:
    """Write the files of the snapshot, each whole; the text of a former wiring is kept under its digest."""
    folder = run_root / FOLDER
    make_directory(folder)
    prior = (folder / TEXT_NAME).read_bytes() if prior_sha256 and (folder / TEXT_NAME).is_file() else b""
    if hashlib.sha256(prior).hexdigest() == prior_sha256:
        replace_file(folder / former_name(prior_sha256), prior, mode=0o644)
    for name, content in files.items():
        replace_file(folder / name, content, mode=0o644)


def former_name(sha256: str) -> str:
    """Give the name under which a wiring is kept that another one took the place of."""
    return f"operators-{sha256[:16]}.yaml"


def faults(run_root: Path, files: dict[str, bytes]) -> Iterator[str]:
    """Name the files of the snapshot that are gone, or not what the run recorded.

    The history may lack its end, or have a torn one: that is what a crash leaves.
    """
    for name, content in files.items():
        path = run_root / FOLDER / name
        try:
            found = path.read_bytes()
        except OSError:
            yield f"{FOLDER}/{name} is gone or cannot be read"
            continue
        if found != content and not (name == HISTORY_NAME and _is_beginning(found, content)):
            yield f"{FOLDER}/{name} was changed"


def _is_beginning(found: bytes, content: bytes) -> bool:
    """Tell whether whole lines of a file are the first of what it should hold, whatever its last, torn line says."""
    whole = found[: found.rfind(b"\n") + 1]
    return bool(whole) and content.startswith(whole)
