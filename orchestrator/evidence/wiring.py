"""Copy the wiring that the run has kept, byte for byte as it is recorded, and the former ones that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.evidence.draft import Draft
from orchestrator.evidence.reading import opened_inside
from orchestrator.store.database import Database, opened, reading
from orchestrator.store.wirings import CODE, read_kept, refuse_tampered, snapshot_of, tampering, wiring_events
from orchestrator.wiring.snapshot import FOLDER, former_name


def write_wiring(draft: Draft) -> None:
    """Write ``operators_snapshot/``; nothing where the run has kept no wiring."""
    if draft.kept is None:
        return
    files = {**snapshot_of(draft.database, draft.kept), **dict(_former(draft.database))}
    for name, content in files.items():
        draft.copy(f"{FOLDER}/{name}", [content])
        draft.wiring_files.append(f"{FOLDER}/{name}")


def check_wiring(run_root: Path) -> None:
    """Refuse a run whose snapshot is not what was recorded, and record that; raises `UsageError` (MS215)."""
    with reading(run_root) as database:
        kept = read_kept(database)
        is_doubtful = kept is not None and tampering(database, kept)
    if is_doubtful:
        refuse_tampered(opened(run_root))


def _former(database: Database) -> Iterator[tuple[str, bytes]]:
    """Give the wirings that others took the place of, by their names, as far as they are there."""
    for event in wiring_events(database):
        sha256 = event["details"].get("prior_sha256") if event["event"] == "WIRING_OVERRIDE_FORCED" else None
        if sha256 and (database.run_root / FOLDER / former_name(sha256)).exists():
            yield former_name(sha256), _checked(database.run_root, f"{FOLDER}/{former_name(sha256)}", sha256)


def _checked(run_root: Path, name: str, sha256: str) -> bytes:
    try:
        with opened_inside(run_root, name) as chunks:
            content = b"".join(chunks)
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != sha256:
        hint = f"put {name} back as it was, or remove it"
        raise UsageError(f"{run_root.name}: {name} was changed", hint=hint, code=CODE)
    return content
