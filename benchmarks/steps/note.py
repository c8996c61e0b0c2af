"""A step that notes when it ran, so that somebody else can tell."""

import time
from pathlib import Path

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params


class Note(BaseScriptlet):
    """Add a line with the time, in seconds since 1970, and the number it was given to a file."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Return the number."""
        with Path(str(params["to"])).open("a", encoding="utf-8") as log:
            log.write(f"{time.time()} {params['n']}\n")
        return {"bench.n_v1": params["n"]}
