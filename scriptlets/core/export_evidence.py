"""Write the evidence of a run, which a third party can check without this program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.evidence.export import Exported, Request, export
from orchestrator.scriptlet import Outputs, Params, Schema


class ExportEvidence(CoreScriptlet):
    """Export the evidence of a run.

    Params: ``run_root``; optional ``output``, a directory instead of ``evidence/`` of the run; ``secret_env``, a list
    of variables that hold secrets beside those that the recipe declares; ``redact``, whether secrets that are found are
    masked, where else they are refused.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root"],
        "properties": {
            "run_root": {"type": "string"},
            "output": {"type": ["string", "null"]},
            "secret_env": {"type": "array"},
            "redact": {"type": "boolean"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Build the directory under a temporary name and move it into place."""
        output = params.get("output")
        request = Request(
            run_root=Path(params["run_root"]).absolute(),
            output=Path(output) if output else None,
            secret_env=params.get("secret_env", ()),
            redact=bool(params.get("redact")),
        )
        return {"_evidence.exported_v1": _told(export(request))}


def _told(exported: Exported) -> dict[str, object]:
    return {
        "run_id": exported.run_id,
        "path": str(exported.path),
        "is_complete": exported.is_complete,
        "files": exported.files,
        "manifest_sha256": exported.manifest_sha256,
        "events_head": exported.events_head,
        **{state: names for state, names in exported.faults.items() if state != "kept"},
        "secrets_unread": list(exported.unread),
    }


if __name__ == "__main__":
    ExportEvidence.main()
