"""``matterstack plan RECIPE``: what would run, in which order; writes nothing."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.options import json_option, read_selection, selection_options
from orchestrator.cli.output import print_json, print_table
from orchestrator.inputs import read_settings
from orchestrator.plan import Plan, PlannedTask, plan_recipe

HEADERS = ["#", "step", "type", "runs", "after", "when", "note"]


@click.command("plan")
@click.argument("recipe")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input.")
@selection_options
@json_option
def command(
    recipe: str,
    settings: tuple[str, ...],
    as_json: bool,  # noqa: FBT001  a command-line flag
    **selecting: Any,  # noqa: ANN401  click's own types
) -> None:
    """Show the steps of RECIPE in the order in which they would run."""
    plan = plan_recipe(recipe, read_settings(settings), read_selection(selecting))
    if as_json:
        print_json(_document(plan))
    else:
        print_table((_row(plan, task) for task in plan.tasks), HEADERS)


def _row(plan: Plan, task: PlannedTask) -> list[object]:
    note = f"skip: {task.left_out}" if task.left_out else ", ".join(_limits(task))
    return [task.position + 1, task.task_id, task.kind, task.runs, ", ".join(_after(plan, task)), task.when, note]


def _limits(task: PlannedTask) -> list[str]:
    limits = [f"timeout {task.timeout_sec:g}s"] if task.timeout_sec else []
    retries = task.node.retry.max
    return [*limits, *([f"{retries} retr{'y' if retries == 1 else 'ies'}"] if retries else [])]


def _after(plan: Plan, task: PlannedTask) -> list[str]:
    return [plan.tasks[position].task_id for position in task.node.after]


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "recipe": plan.source.name,
        "recipe_sha256": plan.source.sha256,
        "inputs": plan.inputs,
        "tasks": [
            {
                "task_id": task.task_id,
                "type": task.kind,
                "runs": task.runs,
                "after": _after(plan, task),
                "when": task.when,
                "left_out": task.left_out,
                "timeout_sec": task.timeout_sec,
                "retries": task.node.retry.max,
                "definition_sha256": task.definition_sha256,
            }
            for task in plan.tasks
        ],
    }
