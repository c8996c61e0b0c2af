"""Keep numbers of the context in a file, for programs that read files."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import make_directory, replace_file
from orchestrator.scriptlet import Outputs, Params, Schema
from scriptlets.steps.load_numbers import numbers_of


class CacheNumbers(BaseScriptlet):
    """Write numbers to a file, one a line, and ``numbers.cached_v1`` with its path, SHA-256 and count.

    Params: ``dst``, the file; ``from``, the context key of the numbers (``numbers.values_v1`` when left out). A
    file that holds the same already is left alone, so that its time tells when the numbers changed.
    """

    needs = ("numbers.values_v1",)
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["dst"],
        "additionalProperties": False,
        "properties": {
            "dst": {"type": "string", "description": "the file to write"},
            "from": {
                "type": "string",
                "description": "the context key of the numbers; numbers.values_v1 when left out",
            },
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "numbers.cached_v1": {
            "type": "object",
            "required": ["path", "sha256", "count"],
            "properties": {"path": {"type": "string"}, "sha256": {"type": "string"}, "count": {"type": "integer"}},
        }
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``dst``."""
        if "dst" not in params:
            raise ValueError("missing dst")

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the file whole, where it differs."""
        numbers = numbers_of(ctx, params.get("from", "numbers.values_v1"))
        content = "".join(f"{number!r}\n" for number in numbers).encode()
        path = Path(params["dst"])
        if not path.is_file() or path.read_bytes() != content:
            make_directory(path.absolute().parent)
            replace_file(path, content, mode=0o644)
        digest = hashlib.sha256(content).hexdigest()
        return {"numbers.cached_v1": {"path": str(path), "sha256": digest, "count": len(numbers)}}


if __name__ == "__main__":
    CacheNumbers.main()
