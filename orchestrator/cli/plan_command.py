"""``matterstack plan RECIPE``: what would run, in which order; writes nothing."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.options import json_option, read_names, read_selected, read_settings
from orchestrator.cli.output import print_json, print_table
from orchestrator.plan import Plan, PlannedTask, Selection, plan_recipe

HEADERS = ["#", "step", "type", "runs", "after", "when", "note"]


@click.command("plan")
@click.argument("recipe")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input.")
@click.option("--only", metavar="STEP[,STEP]", help="Run these steps and no others.")
@click.option("--skip", metavar="STEP[,STEP]", help="Leave these steps out.")
@click.option("--resume-from", "--from", "resume_from", metavar="STEP", help="Start at this step.")
@json_option
def command(
    recipe: str,
    settings: tuple[str, ...],
    only: str | None,
    skip: str | None,
    resume_from: str | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> None:
    """Show the steps of RECIPE in the order in which they would run."""
    starts = () if resume_from is None else (resume_from,)
    selection = Selection(only=read_selected(only), skip=read_names(skip), resume_from=starts)
    plan = plan_recipe(recipe, read_settings(settings), selection)
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
