"""Leave a line in a file outside the run, and the line's token in the context."""

from __future__ import annotations

import uuid
from pathlib import Path

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params


class Note(BaseScriptlet):
    """Append ``run step token`` to effects.txt; fail as long as there are fewer such lines than ``wanted``."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Have the effect first, as a step that fails late does."""
        path, token = Path("effects.txt"), uuid.uuid4().hex
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{params['run']} {params['step']} {token}\n")
        if path.read_text(encoding="utf-8").count(f"{params['run']} {params['step']} ") < params.get("wanted", 1):
            raise ValueError("not yet")
        return {params["key"]: token}
