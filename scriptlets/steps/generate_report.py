"""Write a Markdown report of context values."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import ClassVar, List, Tuple

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import make_directory, replace_file
from orchestrator.jsonsafe import JsonValue
from orchestrator.scriptlet import Outputs, Params, Schema

_NAME = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")


class GenerateReport(BaseScriptlet):
    """Write a table of context values to a Markdown file and ``report.file_v1`` with its path and row count.

    Params: ``out``, the file to write; ``keys``, which context keys to show (all when left out); ``title``. With
    ``template``, a Markdown file, that is written instead, with the value of each ``{{ area.name_v1.field }}`` in its
    place; ``rows`` is then the number of these.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["out"],
        "additionalProperties": False,
        "properties": {
            "out": {"type": "string", "description": "the Markdown file to write"},
            "keys": {
                "type": "array",
                "items": {"type": "string"},
                "description": "the context keys to show; all when left out",
            },
            "title": {"type": "string", "description": "the heading"},
            "template": {"type": "string", "description": "a Markdown file to fill in instead"},
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "report.file_v1": {
            "type": "object",
            "required": ["path", "rows"],
            "properties": {"path": {"type": "string"}, "rows": {"type": "integer"}},
        }
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``out`` and keys that the context does not have."""
        if "out" not in params:
            raise ValueError("missing out")
        for key in params.get("keys", []):
            ctx.require(key)
        if "template" in params and not Path(params["template"]).is_file():
            raise ValueError(f"template not found: {params['template']}")

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Render the rows, or the template, and write the file whole."""
        text, rows = _filled(Path(params["template"]), ctx) if "template" in params else _table(ctx, params)
        path = Path(params["out"])
        make_directory(path.absolute().parent)
        replace_file(path, text.encode(), mode=0o644)
        return {"report.file_v1": {"path": str(path), "rows": rows}}


def _table(ctx: Context, params: Params) -> Tuple[str, int]:
    rows = [row for key in params.get("keys") or ctx.keys() for row in _rows(key, ctx.get(key))]
    lines = [f"# {params.get('title', 'Report')}", "", "| value | |", "| --- | --- |", *rows, ""]
    return "\n".join(lines), len(rows)


def _filled(template: Path, ctx: Context) -> Tuple[str, int]:
    """Put values in the place of the names of a template; what is put in is not searched for names again."""
    return _NAME.subn(lambda match: _shown(_value(ctx, match[1])), template.read_text(encoding="utf-8"))


def _value(ctx: Context, name: str) -> JsonValue:
    """Give the value that a dotted name leads to: the longest context key that it begins with, then its fields."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if key in ctx:
            return _field(ctx.get(key), parts[length:], name)
    return ctx.require(name)


def _field(value: JsonValue, fields: List[str], name: str) -> JsonValue:
    for field in fields:
        if not isinstance(value, dict) or field not in value:
            raise ValueError(f"the template names {name!r}, and there is no {field!r}")
        value = value[field]
    return value


def _shown(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(key: str, value: JsonValue) -> list[str]:
    """Give one table row for a plain value, or one for each field of an object."""
    fields = {f"{key}.{name}": field for name, field in value.items()} if isinstance(value, dict) else {key: value}
    return [f"| {name} | {_cell(field)} |" for name, field in fields.items()]


def _cell(value: JsonValue) -> str:
    return _shown(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    GenerateReport.main()
