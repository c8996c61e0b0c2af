"""Record what somebody asks of a run, so that whoever drives it takes note."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.operators.asking import current_user
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.database import opened
from orchestrator.store.requests import Wish, record_request


class RequestRun(CoreScriptlet):
    """Ask something of a run, whoever drives it.

    Params: ``run_root``, ``request`` (``cancel``, ``pause``, ``resume`` or ``cancel-attempt``) and, optional,
    ``reason`` and, for an attempt, ``attempt_id``.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "request"],
        "properties": {
            "run_root": {"type": "string"},
            "request": {"type": "string", "enum": ["cancel", "pause", "resume", "cancel-attempt"]},
            "reason": {"type": "string"},
            "attempt_id": {"type": "string"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the event, with who asked and where, in a transaction of its own."""
        database = opened(params["run_root"])
        with database.transaction():
            request = record_request(
                database,
                Wish(params["request"]),
                by=current_user(),
                host=socket.gethostname(),
                reason=params.get("reason", ""),
                attempt_id=params.get("attempt_id", ""),
            )
        return {"_run.requested_v1": {"request": request.wish.value, "by": request.by, "seq": request.seq}}


if __name__ == "__main__":
    RequestRun.main()
