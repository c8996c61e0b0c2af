"""MatterStack: run declarative recipes of scientific work, durably."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.context import Context as Context
    from orchestrator.log import get_logger as get_logger
    from orchestrator.runner import run_recipe as run_recipe
    from orchestrator.scriptlet import BaseScriptlet as BaseScriptlet
    from orchestrator.scriptlet import track_resources as track_resources

__version__ = "0.3.0"

# Loaded when first asked for: a scriptlet on a cluster has only the kit, and `--version` needs nothing at all.
_HOMES = {
    "BaseScriptlet": "orchestrator.scriptlet",
    "Context": "orchestrator.context",
    "get_logger": "orchestrator.log",
    "run_recipe": "orchestrator.runner",
    "track_resources": "orchestrator.scriptlet",
}

__all__ = ["BaseScriptlet", "Context", "__version__", "get_logger", "run_recipe", "track_resources"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  the module's public names have different types
    if name not in _HOMES:
        message = f"module 'orchestrator' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
