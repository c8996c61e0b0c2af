"""Read a column of numbers from a text file into the context."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params, Schema


class LoadNumbers(BaseScriptlet):
    """Write ``numbers.values_v1``, the numbers of a file in their order.

    Params: ``src``, a text file with one number a line; blank lines and lines beginning with ``#`` are passed over.
    """

    parallelizable = True
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["src"],
        "additionalProperties": False,
        "properties": {"src": {"type": "string", "description": "a text file with one number a line"}},
    }
    outputs_schema: ClassVar[Schema] = {
        "numbers.values_v1": {"type": "array", "items": {"type": "number"}, "minItems": 1}
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without ``src`` and a file that is not there."""
        check_src(params)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Read the file."""
        return {"numbers.values_v1": read_numbers(Path(params["src"]))}


def check_src(params: Params) -> None:
    """Raise `ValueError` for params without ``src``, or where that is no file."""
    if "src" not in params:
        raise ValueError("missing src")
    if not Path(params["src"]).is_file():
        raise ValueError(f"file not found: {params['src']}")


def numbers_of(ctx: Context, key: str) -> list[float]:
    """Give the numbers under a context key; raise `ValueError` where there is no list of them, or an empty one."""
    values = ctx.require(key)
    if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{key} is not a list of numbers")
    return values


def read_numbers(path: Path) -> list[float]:
    """Read one finite number a line; raise `ValueError` naming the line that holds none, or an empty file."""
    numbers = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            numbers.append(_number(text, f"{path}:{number}"))
    if not numbers:
        raise ValueError(f"{path} holds no numbers")
    return numbers


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{place}: {text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{place}: {text!r} is not a finite number")
    return value


if __name__ == "__main__":
    LoadNumbers.main()
