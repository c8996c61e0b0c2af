"""Attempts of a step that does nothing, for operators of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.operators.assignments import Assignment


def attempt(run_root: Path, name: str, **work: Any) -> Assignment:  # noqa: ANN401  any value of JSON
    """Give an attempt; ``work`` is what its operator has to know beside the rest."""
    return Assignment(
        run_root=run_root,
        task_id=name,
        attempt_id=name,
        attempt_index=1,
        operator_key="hpc.default",
        relative_path=name,
        params={},
        work={"step": "s", "needs": {}, "argv": ["true"], **work},
        asked_at=utc_now(),
    )
