"""Hash what tasks do, so that a change of it shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.catalog import ScriptletFile
from orchestrator.jsonsafe import JsonValue
from orchestrator.nodes import Node
from orchestrator.recipe.model import PythonStep, ShellStep, Step


def definition(
    step: PythonStep | ShellStep,
    file: ScriptletFile | None,
    env: Mapping[str, JsonValue],
    timeout_sec: float | None,
    node: Node,
) -> str:
    """Hash what a task does, so that a change of its step, its defaults or its scriptlet's file shows."""
    settled = {
        "env": dict(env),
        "timeout": timeout_sec,
        "after": list(node.waits_for),
        "retry": node.retry.to_json(),
    }
    return digest(step, {**settled, "file_sha256": file.sha256 if file else ""})


def digest(step: Step, settled: Mapping[str, Any]) -> str:
    """Hash what a step says and what was settled about it, without what changes nothing in its results."""
    said_otherwise = {"idx", "description", "tags", "depends_on", "retry", "parallel", "locks"}
    document = step.model_dump(mode="json", exclude_unset=True, warnings=False, exclude=said_otherwise)
    return hashlib.sha256(
        json.dumps({**document, **settled}, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
