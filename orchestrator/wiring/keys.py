"""The names by which steps are routed: ``kind.name``, and what older runs and recipes wrote instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean

KINDS = ("local", "hpc", "human", "experiment")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_LEGACY = {"hpc": "hpc.default", "local": "local.default", "human": "human.default", "experiment": "experiment.default"}


def kind_of(key: str) -> str:
    """Give the kind of a canonical key, which is what stands before its first dot."""
    return key.partition(".")[0]


def complaint(key: str) -> str:
    """Say what is wrong with an operator key; nothing for a canonical one: lower case, a known kind, and a name."""
    kind, dot, name = key.partition(".")
    if not dot or not name:
        return f"expected kind.name, got {key!r}"
    if kind not in KINDS:
        return f"the kind {kind!r} of {key!r} is not known"
    if not all(_NAME.fullmatch(part) for part in name.split(".")):
        return f"{key!r} is not a name of lower-case letters, digits, '_' and '-' after {kind!r}"
    return ""


def canonical(key: str) -> str:
    """Give the canonical form of a key, also of one that older versions wrote, such as ``HPC``.

    Raises `UsageError` (MS214).
    """
    found = _LEGACY.get(key.lower(), key)
    if problem := complaint(found):
        kinds = ", ".join(f"{kind}.default" for kind in KINDS)
        raise UsageError(problem, hint=did_you_mean(key.lower(), _LEGACY.values()) or f"as in: {kinds}", code="MS214")
    return found


def key_of_attempt(operator_key: str | None, operator_data: Mapping[str, Any], operator_type: str | None) -> str | None:
    """Give the key by which an attempt was routed, as runs of every version recorded it; None where none did."""
    named = operator_key or operator_data.get("operator_key")
    return str(named) if named else _LEGACY.get((operator_type or "").lower())
