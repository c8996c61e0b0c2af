"""Show the core-hours that the steps of a plan ask for, each and together."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, isfinite
from typing import Any

from orchestrator.core_hours import core_hours, core_seconds, told
from orchestrator.plan import Demand, Plan


def of_step(asked: Demand) -> str:
    """Give for people what one step asks for; nothing for one that costs nothing."""
    if asked.asked is None:
        return "?"
    if not (asked.asked or asked.open_steps):
        return ""
    each = " per item" if asked.is_each else " and more" if asked.open_steps else ""
    return f"{told(asked.asked)}{each}{_at_most(asked.asked, asked.most)}"


def of_task(asked: Demand) -> dict[str, Any]:
    """Give for programs what one step asks for: for all its items, or for one where only the run knows how many."""
    each = _hours(asked.asked)
    return {
        "core_hours": None if asked.is_each else each,
        "core_hours_at_most": None if asked.is_each or asked.asked is None else _hours(asked.most),
        "core_hours_per_item": each if asked.is_each else None,
    }


def in_words(plan: Plan, asked: Sequence[Demand]) -> str:
    """Give for people what all steps ask for together, and the budget; nothing where they cost nothing."""
    budget, left_out = plan.recipe.budget, _open_steps(asked)
    total, most = _totals(asked)
    if not (total or budget or any(one.asked for one in asked)):
        return ""
    without = f", not counting {', '.join(left_out)}" if left_out else ""
    allowed = f"; the budget is {told(core_seconds(budget.core_hours))}" if budget else ""
    return f"{told(total)} core-hours{_at_most(total, most)}{without}{allowed}"


def together(plan: Plan, asked: Sequence[Demand]) -> dict[str, Any]:
    """Give for programs what all steps ask for together; ``without`` names those of which only the run can tell."""
    total, most = _totals(asked)
    budget = plan.recipe.budget
    return {
        "total": _hours(total),
        "at_most": _hours(most),
        "without": _open_steps(asked),
        "budget": budget.core_hours if budget else None,
    }


def _totals(asked: Sequence[Demand]) -> tuple[float, float]:
    return fsum(one.total for one in asked), fsum(one.total_at_most for one in asked)


def _open_steps(asked: Sequence[Demand]) -> list[str]:
    return [name for one in asked for name in one.open_steps]


def _at_most(asked: float, most: float) -> str:
    return f" (at most {told(most)})" if most > asked else ""


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None or not isfinite(seconds) else core_hours(seconds)
