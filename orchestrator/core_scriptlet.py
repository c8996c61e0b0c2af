"""Give the core scriptlets what they have in common: own keys, and params that are checked where people give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orchestrator.context import Context
from orchestrator.envelope import Envelope
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.scriptlet import BaseScriptlet, Params, Schema

if TYPE_CHECKING:
    from jsonschema import ValidationError

_MISSING = frozenset({"required", "dependentRequired"})


class CoreScriptlet(BaseScriptlet):
    """Keeps the books of a run.

    By hand its params must be those that ``params_schema`` declares. The runner gives all the core scriptlets of one
    happening the same params, of which each takes its own; there they are not checked.
    """

    own_keys = True

    def answer(self, ctx: Context, params: Params) -> Envelope:
        """Raise `UsageError` where the params do not fit; else as for all scriptlets."""
        schema = self.params_schema or {}
        if faults := [*_faults(params, schema)]:
            raise UsageError("; ".join(faults), hint=f"it takes: {', '.join(schema.get('properties', {}))}")
        return super().answer(ctx, params)


def _faults(params: Params, schema: Schema) -> Iterator[str]:
    """Say what is wrong with params; one that is misspelt is not told of as missing too."""
    from jsonschema import Draft202012Validator  # slow, and only what people give is checked

    meant: set[str] = set()
    errors: Iterator[ValidationError] = Draft202012Validator(schema).iter_errors(params)
    for error in sorted(errors, key=lambda error: error.validator in _MISSING):
        if error.validator == "additionalProperties":
            known: Any = schema["properties"]
            for name in params.keys() - known.keys():
                meant.add(hint := did_you_mean(name, known))
                yield f"there is no param {name!r}; {hint}"
        elif error.validator in _MISSING:
            missing = error.message.split("'")[1]
            if f"did you mean {missing!r}?" not in meant:
                yield f"the param {missing!r} is missing"
        else:
            yield f"the param {'.'.join(map(str, error.absolute_path))!r}: {error.message}"
