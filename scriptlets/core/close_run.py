"""Record that a run has settled, and leave its context as a file for people and tools."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import replace_file
from orchestrator.scriptlet import Outputs, Params
from orchestrator.states import RunState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import Database, opened
from orchestrator.store.leases import refuse_if_driven
from orchestrator.store.runs import put_outputs, set_run_state


class CloseRun(BaseScriptlet):
    """Settle a run.

    Params: ``run_root``, ``status`` (COMPLETED, FAILED, CANCELLED, or PENDING for one that was interrupted and can be
    resumed) and, optional, ``reason`` and ``outputs``, the results that the recipe declares, by name.
    """

    own_keys = True

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse to write where a runner writes."""
        refuse_if_driven(opened(params["run_root"]))

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write context.json before the state is durable: a settled run always has it."""
        run_root = Path(params["run_root"])
        database = opened(run_root)
        with database.transaction():
            if params.get("outputs"):
                put_outputs(database, params["outputs"], self.name)
            set_run_state(database, RunState(params["status"]), params.get("reason", ""))
            replace_file(run_root / "context.json", context_json(database), mode=0o644)
        return {"_run.closed_v1": {"run_id": run_root.name, "status": params["status"]}}


def context_json(database: Database) -> bytes:
    """Give the present context as an indented JSON object."""
    items = (f'  "{change.key}": {change.text}' for change in read_context(database))
    body = ",\n".join(items)
    return f"{{\n{body}\n}}\n".encode() if body else b"{}\n"


if __name__ == "__main__":
    CloseRun.main()
