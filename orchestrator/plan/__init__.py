"""Plan a run: turn a recipe, the given inputs and a selection into the tasks to run, or into all that is wrong.

Nothing is written, imported or started here.
"""

from __future__ import annotations

from orchestrator.plan.constants import settle_vars
from orchestrator.plan.demand import Demand, demands, refuse_over_budget
from orchestrator.plan.making import (
    STDIN_NAME,
    CheckedRecipe,
    check_recipe,
    make_plan,
    plan_recipe,
    plan_source,
    recipes_of,
)
from orchestrator.plan.model import LANE, Away, Plan, PlannedTask, SubRecipe, usable_processors
from orchestrator.plan.selection import Selection
from orchestrator.plan.workflow import at_task, plainly, plan_workflow

__all__ = [
    "LANE",
    "STDIN_NAME",
    "Away",
    "CheckedRecipe",
    "Demand",
    "Plan",
    "PlannedTask",
    "Selection",
    "SubRecipe",
    "at_task",
    "check_recipe",
    "demands",
    "make_plan",
    "plainly",
    "plan_recipe",
    "plan_source",
    "plan_workflow",
    "recipes_of",
    "refuse_over_budget",
    "settle_vars",
    "usable_processors",
]
