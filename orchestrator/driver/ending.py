"""Say how the drive of a run ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.driver.run import Run
from orchestrator.errors import ExpressionError, Problem
from orchestrator.expressions import evaluate
from orchestrator.jsonsafe import JsonValue
from orchestrator.states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the drive of a run ended: ``step`` is the first whose failure counted, or nothing where none was at fault.

    Of a pause, it is the one that would have come next.
    """

    status: RunState
    step: str = ""
    reason: str = ""
    problem: Problem | None = None
    is_pause: bool = False
    waits_for: tuple[str, ...] = ()
    outputs: dict[str, JsonValue] = field(default_factory=dict)


def ending_of(run: Run, settled: RunState, *, rounds: Problem | None, has_expired: bool) -> Ending:
    """Give the end of a run that has settled; ``rounds`` is what was wrong with the repetition of its steps."""
    if settled is RunState.COMPLETED:
        return _completed(run)
    if settled is RunState.FAILED and rounds:
        return Ending(status=settled, reason=rounds.message, problem=rounds)
    if settled is RunState.FAILED and has_expired:
        return Ending(status=settled, reason=f"the run took more than {run.plan.recipe.timeout:g} seconds")
    return Ending(status=settled, step="" if settled is RunState.PENDING else _first_failure(run))


def _completed(run: Run) -> Ending:
    """Give the end of a run that succeeded, with its outputs, unless one of these has no value."""
    outputs: dict[str, JsonValue] = {}
    for name, text in run.plan.recipe.outputs.items():
        try:
            outputs[name] = evaluate(text, run.root.scope)
        except ExpressionError as error:
            place = run.plan.source.place(("outputs", name))
            problem = Problem(error.code, f"outputs.{name}: {error.message}", place, error.hint)
            return Ending(status=RunState.FAILED, reason=problem.message, problem=problem)
    return Ending(status=RunState.COMPLETED, outputs=outputs)


def _first_failure(run: Run) -> str:
    return run.tasks[run.board.failed[0]].task_id if run.board.failed else ""
