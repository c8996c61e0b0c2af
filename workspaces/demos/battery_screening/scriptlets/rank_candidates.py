"""Sort the electrode materials that could be screened by the energy that they hold."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params

COLUMNS = ("name", "wh_per_kg", "mah_per_g", "voltage_v")


class RankCandidates(BaseScriptlet):
    """Write `battery.ranking_v1`, the candidates of `battery.candidate_v1` from the best to the worst, and a table.

    Params: ``out``, the file for the table of comma-separated values.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Sort by Wh/kg."""
        found: Any = ctx.require("battery.candidate_v1")
        rows = sorted(({"name": name, **one} for name, one in found.items()), key=lambda row: -row["wh_per_kg"])
        out = Path(params["out"])
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        return {"battery.ranking_v1": rows}


if __name__ == "__main__":
    RankCandidates.main()
