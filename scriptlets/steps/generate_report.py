"""Write a Markdown report of context values."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import make_directory, replace_file
from orchestrator.jsonsafe import JsonValue
from orchestrator.scriptlet import Outputs, Params


class GenerateReport(BaseScriptlet):
    """Write a table of context values to a Markdown file and ``report.file_v1`` with its path and row count.

    Params: ``out``, the file to write; ``keys``, which context keys to show (all when left out); ``title``.
    """

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``out`` and keys that the context does not have."""
        if "out" not in params:
            raise ValueError("missing out")
        for key in params.get("keys", []):
            ctx.require(key)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Render the rows and write the file whole."""
        rows = [row for key in params.get("keys") or ctx.keys() for row in _rows(key, ctx.get(key))]
        lines = [f"# {params.get('title', 'Report')}", "", "| value | |", "| --- | --- |", *rows, ""]
        path = Path(params["out"])
        make_directory(path.absolute().parent)
        replace_file(path, "\n".join(lines).encode(), mode=0o644)
        return {"report.file_v1": {"path": str(path), "rows": len(rows)}}


def _rows(key: str, value: JsonValue) -> list[str]:
    """Give one table row for a plain value, or one for each field of an object."""
    fields = {f"{key}.{name}": field for name, field in value.items()} if isinstance(value, dict) else {key: value}
    return [f"| {name} | {_cell(field)} |" for name, field in fields.items()]


def _cell(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    GenerateReport.main()
