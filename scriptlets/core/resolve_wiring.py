"""Say which wiring is in force for a run or a workspace, and write nothing."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.sources import Source
from orchestrator.store.database import reading
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.kept import KeptWiring
from orchestrator.wiring.model import CommandBackend, HumanOperator, SlurmBackend
from orchestrator.wiring.options import WiringOptions
from orchestrator.wiring.reading import Wiring
from orchestrator.wiring.resolution import WiringSource, changed_file, resolve_wiring, resolved_from, unused_variable


class ResolveWiring(CoreScriptlet):
    """Resolve the wiring of a workspace, or of a run of it.

    Params: ``workspace``, its folder; optional ``run_root``, a run that may have kept one; ``operators_config``,
    ``profile``, ``profiles_config`` and ``hpc_config``, files and names as on the command line.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["workspace"],
        "properties": {
            "workspace": {"type": "string"},
            "run_root": {"type": ["string", "null"]},
            "operators_config": {"type": ["string", "null"]},
            "profile": {"type": ["string", "null"]},
            "profiles_config": {"type": ["string", "null"]},
            "hpc_config": {"type": ["string", "null"]},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Give the source, the file, the digest and the text of the wiring in force.

        Where a run goes by what it has kept, ``unused`` is what the variable names instead, and ``changed`` the file
        that it came from, if that says something else by now.
        """
        options = WiringOptions(
            operators_config=_path(params.get("operators_config")),
            profile=params.get("profile"),
            profiles_config=_path(params.get("profiles_config")),
            hpc_config=_path(params.get("hpc_config")),
        )
        workspace = Path(params["workspace"])
        kept = _kept(params.get("run_root"))
        persisted = resolved_from(kept, Path(params["run_root"])) if kept else None
        found = resolve_wiring(workspace, options, persisted)
        is_kept = found.source is WiringSource.RUN_PERSISTED
        return {
            "_wiring.resolved_v1": {
                "source": found.source.name,
                "resolved_path": str(found.path or ""),
                "sha256": found.wiring.sha256,
                "text": _text(found.wiring.source),
                "operators": sorted(found.wiring.operators),
                "idle": _idle(found.wiring),
                "people": _people(found.wiring),
                "drivers": _drivers(found.wiring),
                "clusters": _clusters(found.wiring),
                "unused": unused_variable(workspace, found.wiring.sha256) if is_kept else None,
                "changed": str(changed_file(workspace, kept) or "") if kept and is_kept else "",
            }
        }


def _idle(wiring: Wiring) -> dict[str, str]:
    """Give the keys whose backend nothing carries out yet, each with that."""
    return {key: wired.backend.type for key, wired in wiring.operators.items() if wired.backend and wired.is_idle}


def _drivers(wiring: Wiring) -> dict[str, str]:
    """Give the programs that reach instruments, by the keys that are wired to them."""
    backends = {key: wired.backend for key, wired in wiring.operators.items()}
    return {key: backend.command[0] for key, backend in backends.items() if isinstance(backend, CommandBackend)}


def _clusters(wiring: Wiring) -> list[str]:
    """Give the keys whose steps travel to a cluster, also where none is submitted."""
    return [key for key, wired in wiring.operators.items() if isinstance(wired.backend, SlurmBackend)]


def _people(wiring: Wiring) -> dict[str, Any]:
    """Give whose answers count, by the keys that ask people, and where these are told."""
    said = {"approvers", "separation_of_duty", "shared_folder"}
    asking = {
        key: wired.operator for key, wired in wiring.operators.items() if isinstance(wired.operator, HumanOperator)
    }
    return {key: operator.model_dump(mode="json", include=said) for key, operator in asking.items()}


def _text(source: Source) -> str:
    """Give the text of a file with the byte order mark that reading it took away."""
    is_whole = hashlib.sha256(source.text.encode("utf-8", "surrogatepass")).hexdigest() == source.sha256
    return source.text if is_whole else f"\ufeff{source.text}"


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _kept(run_root: str | None) -> KeptWiring | None:
    if run_root is None:
        return None
    with reading(Path(run_root)) as database:
        return read_kept(database)


if __name__ == "__main__":
    ResolveWiring.main()
