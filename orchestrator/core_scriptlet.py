"""Give the core scriptlets what they have in common: own keys, and params that are checked where people give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.context import Context
from orchestrator.envelope import Envelope
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.scriptlet import BaseScriptlet, Params

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


class CoreScriptlet(BaseScriptlet):
    """Keeps the books of a run.

    By hand its params must be those that ``params_schema`` declares. The runner gives all the core scriptlets of one
    happening the same params, of which each takes its own; there they are not checked.
    """

    own_keys = True

    def answer(self, ctx: Context, params: Params) -> Envelope:
        """Raise `UsageError` where the params do not fit; else as for all scriptlets."""
        schema: Any = self.params_schema or {}
        known, given = schema.get("properties", {}), params if isinstance(params, dict) else {}
        needed = [*schema.get("required", ()), *_needed_by(given, schema.get("dependentRequired", {}))]
        faults = [*_names(given, known, needed), *_values(given, known)]
        if faults:
            raise UsageError("; ".join(faults), hint=f"it takes: {', '.join(known)}")
        return super().answer(ctx, params)


def _needed_by(given: Params, dependent: dict[str, list[str]]) -> Iterator[str]:
    """Give the params without which others of those that are given mean nothing."""
    return (name for param in given for name in dependent.get(param, ()))


def _names(given: Params, known: dict[str, Any], required: list[str]) -> Iterator[str]:
    """Name the params that there are not, and those that are missing and not misspelt."""
    meant = ""
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            meant += hint
            yield f"there is no param {name!r}; {hint}"
    for name in required:
        if name not in given and repr(name) not in meant:
            yield f"the param {name!r} is missing"


def _values(given: Params, known: dict[str, Any]) -> Iterator[str]:
    """Name the params whose value is of another type, or none of the allowed ones."""
    for name, value in given.items():
        schema = known.get(name, {})
        said = schema.get("type", [*_TYPES])
        types = said if isinstance(said, list) else [said]
        if not any(type(value) in _TYPES[one] for one in types):
            yield f"the param {name!r} is not of type {' or '.join(types)}"
        elif value not in schema.get("enum", [value]):
            yield f"the param {name!r} is {value!r}; {did_you_mean(str(value), schema['enum'])}"
