"""Read candidate electrode materials from a table."""

from __future__ import annotations

import csv
from pathlib import Path

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params


class LoadCandidates(BaseScriptlet):
    """Write `battery.candidates_v1`, a list of objects with ``name``, ``formula``, ``electrons`` and ``voltage_v``.

    Params: ``src``, a file of comma-separated values with these columns; lines that begin with ``#`` are left out.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Read one candidate a line."""
        lines = Path(params["src"]).read_text(encoding="utf-8").splitlines()
        table = csv.DictReader(line for line in lines if not line.startswith("#"))
        candidates = [
            {
                "name": row["name"],
                "formula": row["formula"],
                "electrons": float(row["electrons"]),
                "voltage_v": float(row["voltage_v"]),
            }
            for row in table
        ]
        if not candidates:
            message = f"there are no candidates in {params['src']}"
            raise ValueError(message)
        return {"battery.candidates_v1": candidates}


if __name__ == "__main__":
    LoadCandidates.main()
