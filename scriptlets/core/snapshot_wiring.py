"""Keep the wiring of a run with the run, and see that what is kept is still what was recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.errors import UsageError
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.database import Database, opened
from orchestrator.store.wirings import (
    CODE,
    FORCED,
    PERSISTED,
    REFUSED,
    keep,
    note_files,
    note_refusal,
    note_tampering,
    note_unused,
    read_kept,
    read_unused,
    refuse_tampered,
    snapshot_of,
    wiring_events,
)
from orchestrator.wiring.kept import KeptWiring, kept_from_params
from orchestrator.wiring.snapshot import FOLDER, write_snapshot

_TAKING = {"WIRING_PERSISTED", "WIRING_OVERRIDE_FORCED"}


class SnapshotWiring(CoreScriptlet):
    """Keep a wiring in ``operators_snapshot/`` of a run, or check the one that is kept there.

    Params: ``run_root``; optional ``wiring``, what is in force as `ResolveWiring` gives it, with ``provenance``, an
    object of what was asked for; ``force``, whether another wiring than the one that is kept may take its place, and
    what somebody changed in ``operators_snapshot/`` is written anew.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root"],
        "properties": {
            "run_root": {"type": "string"},
            "wiring": {"type": ["object", "null"]},
            "provenance": {"type": "object"},
            "force": {"type": "boolean"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Keep the first wiring, refuse another one unless it is forced, and write the copies that are due."""
        database = opened(Path(params["run_root"]))
        if params.get("force"):
            _restore(database)
        else:
            refuse_tampered(database)
        kept, given = read_kept(database), kept_from_params(params)
        if given is not None and (kept is None or given.sha256 != kept.sha256):
            kept = self._take(database, kept, given, force=bool(params.get("force")))
        if kept is None:
            return {"_wiring.kept_v1": None}
        self._heal(database, kept)
        if (unused := (params.get("wiring") or {}).get("unused")) and unused != read_unused(database):
            with database.transaction():
                note_unused(database, unused)
        return {"_wiring.kept_v1": {"source": kept.source, "sha256": kept.sha256, "snapshot": FOLDER}}

    def _take(self, database: Database, kept: KeptWiring | None, given: KeptWiring, *, force: bool) -> KeptWiring:
        """Record a wiring that the run has not kept yet."""
        if kept is None:
            with database.transaction():
                return keep(database, given, PERSISTED)
        if not force:
            with database.transaction():
                note_refusal(database, REFUSED, given, {"kept_sha256": kept.sha256})
            self._heal(database, kept)
            message = (
                f"{given.resolved_path or 'this wiring'} (sha256 {given.sha256[:12]}) is not what run"
                f" {database.run_root.name} began with (sha256 {kept.sha256[:12]})"
            )
            hint = "leave --operators-config out, or add --force-wiring-override"
            raise UsageError(message, hint=hint, code=CODE)
        with database.transaction():
            return keep(database, given, FORCED)

    def _heal(self, database: Database, kept: KeptWiring) -> None:
        """Write the files that are due, and a history that lacks its end."""
        files = snapshot_of(database, kept)
        if kept.files_due:
            write_snapshot(database.run_root, files, _prior(database))
            with database.transaction():
                note_files(database, kept)
        elif _differs(database.run_root, files):
            write_snapshot(database.run_root, files)


def _restore(database: Database) -> None:
    """Write the snapshot anew where somebody changed it; the state file holds all of it."""
    if note_tampering(database) and (kept := read_kept(database)):
        write_snapshot(database.run_root, snapshot_of(database, kept))


def _prior(database: Database) -> str:
    """Give the digest of the wiring that the present one took the place of."""
    taken = [event for event in wiring_events(database) if event["event"] in _TAKING]
    return str(taken[-1]["details"].get("prior_sha256", ""))


def _differs(run_root: Path, files: dict[str, bytes]) -> bool:
    return any((run_root / FOLDER / name).read_bytes() != content for name, content in files.items())


if __name__ == "__main__":
    SnapshotWiring.main()
