"""Run core scriptlets by their names, as the lifecycle table lists them, keeping one instance of each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from orchestrator.context import Context
from orchestrator.errors import ScriptletError
from orchestrator.keys import camel_case
from orchestrator.lifecycle import lifecycle_table
from orchestrator.scriptlet import BaseScriptlet

CORE_PACKAGE = "scriptlets.core"


def happen(happening: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Run the core scriptlets for what happened, each with the same params, and return their outputs together.

    Errors propagate: a core scriptlet that cannot write stops the run.
    """
    outputs: dict[str, Any] = {}
    for name in lifecycle_table()[happening]:
        outputs.update(call_core(name, params))
    return outputs


def call_core(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Validate and run one core scriptlet in this process and return its outputs."""
    scriptlet = core_scriptlet(name)
    ctx, given = Context(), dict(params)
    scriptlet.validate(ctx, given)
    return dict(scriptlet.work(ctx, given) or {})


@functools.cache
def core_scriptlet(name: str) -> BaseScriptlet:
    """Give the one instance of a core scriptlet; raise `ScriptletError` for a name that is none."""
    try:
        found = getattr(import_module(f"{CORE_PACKAGE}.{name}"), camel_case(name))
    except (ModuleNotFoundError, AttributeError) as error:
        raise ScriptletError(f"no core scriptlet {name!r}", hint="check scriptlets/core/lifecycle.yaml") from error
    scriptlet: BaseScriptlet = found()
    return scriptlet
