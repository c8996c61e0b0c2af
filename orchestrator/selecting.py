"""Read one value out of a JSON file, as ``result.json:energy.total[0]`` names it."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import ExpressionError, NotJsonSafeError
from orchestrator.jsonsafe import JsonValue, loads
from orchestrator.keys import did_you_mean

_SELECTOR = re.compile(r"[\w./-]+\.json:[\w.\[\]-]+")
_PART = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def is_selector(text: str) -> bool:
    """Tell whether the text names a JSON file and a path in it, and is no expression."""
    return _SELECTOR.fullmatch(text) is not None


def read_selected(selector: str, folder: Path | None = None) -> JsonValue:
    """Give the value that a selector names in a file below ``folder``; raise `ExpressionError` where there is none."""
    name, _, path = selector.rpartition(":")
    file = (folder or Path()) / name
    if folder is not None and not file.resolve().is_relative_to(folder.resolve()):
        raise ExpressionError(f"{name!r} leads out of the step's directory", hint="name a file that the step wrote")
    try:
        value = loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, NotJsonSafeError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        raise ExpressionError(f"cannot read {name!r}: {reason}", hint="the step has to write it") from error
    for index, key in _PART.findall(path):
        value = _part(value, index, key, selector)
    return value


def _part(value: JsonValue, index: str, key: str, selector: str) -> JsonValue:
    if index and isinstance(value, list) and int(index) < len(value):
        item: JsonValue = value[int(index)]
        return item
    if key and isinstance(value, dict) and key in value:
        member: JsonValue = value[key]
        return member
    known = did_you_mean(key, value) if key and isinstance(value, dict) else ""
    raise ExpressionError(f"{selector}: there is no {f'[{index}]' if index else repr(key)}", hint=known)
