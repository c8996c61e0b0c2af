"""Keep the wiring of a run: its text and digest in the state file, and every change of it as an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.errors import UsageError
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from orchestrator.store.queries import read_run
from orchestrator.store.runs import put_inputs
from orchestrator.wiring.kept import KeptWiring
from orchestrator.wiring.options import VARIABLE
from orchestrator.wiring.snapshot import FOLDER, faults, snapshot_files

PERSISTED = "persisted"
REFUSED = "override_refused"
FORCED = "override_forced"
TAMPERED = "tampered"
CODE = "MS215"

_INPUT = "wiring"


def read_kept(database: Database) -> KeptWiring | None:
    """Give the wiring that the run has kept, if it has kept one."""
    row = database.one("SELECT value_json FROM run_inputs WHERE name = ?", (_INPUT,))
    return KeptWiring(**json.loads(row[0])) if row else None


def keep(database: Database, wiring: KeptWiring, what: str = PERSISTED) -> KeptWiring:
    """Record a wiring with its event, in the transaction of the caller."""
    now, prior = utc_now(), read_kept(database)
    kept = replace(wiring, created_at=prior.created_at if prior else now, updated_at=now, files_due=True)
    details = {"prior_sha256": prior.sha256} if prior else {}
    _note(database, what, kept, details)
    _put(database, kept)
    return kept


def note_files(database: Database, kept: KeptWiring) -> None:
    """Record that the copies were written, in the transaction of the caller."""
    _put(database, replace(kept, files_due=False))


def note_refusal(database: Database, what: str, wiring: KeptWiring, details: Mapping[str, str]) -> None:
    """Record that a wiring was refused, in the transaction of the caller; the one that is kept stays as it is."""
    _note(database, what, wiring, details)


def note_unused(database: Database, named: Mapping[str, str]) -> None:
    """Record that the variable names another file than the run has kept, in the transaction of the caller.

    ``named`` is its ``path``, and the ``sha256`` of what it says. To the wiring itself nothing has happened, so its
    history does not tell of it.
    """
    append_event(database, "variable.ignored", {"variable": VARIABLE, **named})


def read_unused(database: Database) -> dict[str, str] | None:
    """Give the ``path`` and ``sha256`` of the file that the variable named last, where it was not used."""
    row = database.one("SELECT payload_json FROM events WHERE kind = 'variable.ignored' ORDER BY seq DESC LIMIT 1")
    return {name: json.loads(row[0])[name] for name in ("path", "sha256")} if row else None


def wiring_events(database: Database) -> list[dict[str, Any]]:
    """Give what happened to the wiring, oldest first, as history.jsonl tells it."""
    rows = database.all("SELECT at_utc, kind, payload_json FROM events WHERE kind LIKE 'wiring.%' ORDER BY seq")
    return [
        {"at_utc": at_utc, "event": kind.upper().replace(".", "_"), **json.loads(payload)}
        for at_utc, kind, payload in rows
    ]


def snapshot_of(database: Database, kept: KeptWiring) -> dict[str, bytes]:
    """Give what each file of the snapshot must hold."""
    return snapshot_files(kept, read_run(database).workspace_slug, wiring_events(database))


def tampering(database: Database, kept: KeptWiring) -> str:
    """Say which files of the snapshot somebody changed; those that are still to be written do not count."""
    return "" if kept.files_due else "; ".join(faults(database.run_root, snapshot_of(database, kept)))


def note_tampering(database: Database) -> str:
    """Say which files of the snapshot somebody changed, and record that where there are any."""
    kept = read_kept(database)
    found = tampering(database, kept) if kept else ""
    if kept is not None and found:
        with database.transaction():
            note_refusal(database, TAMPERED, kept, {"faults": found})
    return found


def refuse_tampered(database: Database) -> None:
    """Record that somebody changed the files of the snapshot, and raise `UsageError` (MS215) that names them."""
    if found := note_tampering(database):
        hint = f"put {FOLDER} back, or have the run write it anew: resume, retry or rerun with --force-wiring-override"
        raise UsageError(f"{database.run_root.name}: {found}", hint=hint, code=CODE)


def _note(database: Database, what: str, wiring: KeptWiring, details: Mapping[str, str]) -> None:
    payload = {
        "source": wiring.source,
        "sha256": wiring.sha256,
        "resolved_path": wiring.resolved_path,
        "snapshot_relpath": "operators_snapshot/operators.yaml",
        "details": dict(details),
    }
    append_event(database, f"wiring.{what}", payload)


def _put(database: Database, kept: KeptWiring) -> None:
    row = {name: getattr(kept, name) for name in KeptWiring.__dataclass_fields__}
    put_inputs(database, {_INPUT: row, "wiring_sha256": kept.sha256, "wiring_path": kept.resolved_path})
