"""The wiring that a run keeps, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWiring:
    """The wiring that a run has kept; ``files_due`` tells that its copies are still to be written.

    ``source`` and ``resolved_path`` say where it came from, ``provenance`` what else was asked for then.
    """

    source: str
    resolved_path: str
    sha256: str
    text: str
    provenance: Mapping[str, Any]
    created_at: str = ""
    updated_at: str = ""
    files_due: bool = True


def kept_from_params(params: Mapping[str, Any]) -> KeptWiring | None:
    """Give the wiring that a core scriptlet is to keep: ``wiring`` as `ResolveWiring` gives it, and ``provenance``."""
    wiring = params.get("wiring")
    if wiring is None:
        return None
    return KeptWiring(
        source=wiring["source"],
        resolved_path=wiring["resolved_path"],
        sha256=wiring["sha256"],
        text=wiring["text"],
        provenance=params.get("provenance", {}),
    )
