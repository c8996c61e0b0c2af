"""Say what a run came to, as its caller and the command line are told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.context import Context
from orchestrator.progress import RunSettled
from orchestrator.states import RunState
from orchestrator.store.database import Database
from orchestrator.store.queries import read_inputs
from orchestrator.store.runs import OUTPUTS_KEY

TIMED_OUT_STATUS = 124
PAUSED_STATUS = 5
EXIT_STATUSES = {
    RunState.COMPLETED: 0,
    RunState.FAILED: 1,
    RunState.CANCELLED: 1,
    RunState.PAUSED: PAUSED_STATUS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to; ``step`` is the first task whose failure counted."""

    run_root: Path
    status: RunState
    reason: str
    step: str
    context: Context
    exit_status: int
    is_stubbed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the one line that `run` prints."""
        keys = [key for key in self.context if not key.startswith("_")]
        place: dict[str, Any] = {"run_id": self.run_root.name, "run_root": str(self.run_root)}
        if self.is_stubbed:
            place["stubbed"] = True
        if self.status is RunState.COMPLETED:
            outputs = {"outputs": self.context.get(OUTPUTS_KEY)} if OUTPUTS_KEY in self.context else {}
            return {"status": "ok", "ctx_keys": keys, **outputs, **place}
        failure = {"reason": self.reason, "exit_code": self.exit_status, "step": self.step}
        return {"status": "error", **failure, "ctx_keys": keys, **place}


def outcome_of(
    database: Database, context: Context, status: RunState, step: str, reason: str, *, exit_status: int
) -> Outcome:
    """Give what a run came to, with what its records say of it."""
    return Outcome(
        run_root=database.run_root,
        is_stubbed=bool(read_inputs(database).get("stubs")),
        status=status,
        reason=reason,
        step=step,
        context=context,
        exit_status=exit_status,
    )


def settled(outcome: Outcome) -> RunSettled:
    """Give what is told of a run that ended."""
    run_root = outcome.run_root
    return RunSettled(run_id=run_root.name, run_root=run_root, status=outcome.status, reason=outcome.reason)
