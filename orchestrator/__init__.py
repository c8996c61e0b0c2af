"""MatterStack: run declarative recipes of scientific work, durably."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign as Campaign
    from orchestrator.campaign import ExternalTask as ExternalTask
    from orchestrator.campaign import GateTask as GateTask
    from orchestrator.campaign import Task as Task
    from orchestrator.campaign import TaskResult as TaskResult
    from orchestrator.campaign import Workflow as Workflow
    from orchestrator.campaigns import initialize_run as initialize_run
    from orchestrator.campaigns import run_until_completion as run_until_completion
    from orchestrator.context import Context as Context
    from orchestrator.log import get_logger as get_logger
    from orchestrator.runner import run_recipe as run_recipe
    from orchestrator.scriptlet import BaseScriptlet as BaseScriptlet
    from orchestrator.scriptlet import track_resources as track_resources

__version__ = "0.3.0"

# Loaded when first asked for: a scriptlet on a cluster has only the kit, and `--version` needs nothing at all.
_HOMES = {
    "BaseScriptlet": "orchestrator.scriptlet",
    "Campaign": "orchestrator.campaign",
    "Context": "orchestrator.context",
    "ExternalTask": "orchestrator.campaign",
    "GateTask": "orchestrator.campaign",
    "Task": "orchestrator.campaign",
    "TaskResult": "orchestrator.campaign",
    "Workflow": "orchestrator.campaign",
    "get_logger": "orchestrator.log",
    "initialize_run": "orchestrator.campaigns",
    "run_recipe": "orchestrator.runner",
    "run_until_completion": "orchestrator.campaigns",
    "track_resources": "orchestrator.scriptlet",
}

__all__ = [
    "BaseScriptlet",
    "Campaign",
    "Context",
    "ExternalTask",
    "GateTask",
    "Task",
    "TaskResult",
    "Workflow",
    "__version__",
    "get_logger",
    "initialize_run",
    "run_recipe",
    "run_until_completion",
    "track_resources",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  the module's public names have different types
    if name not in _HOMES:
        message = f"module 'orchestrator' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
