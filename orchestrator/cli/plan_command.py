"""``matterstack plan RECIPE``: what would run, in which order; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.asking import in_words, of_step, of_task, together
from orchestrator.cli.options import json_option, read_selection, recipe_file, selection_options, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.inputs import read_settings
from orchestrator.paths import workspaces_root
from orchestrator.plan import Demand, Plan, PlannedTask, demands, plan_recipe, refuse_over_budget

if TYPE_CHECKING:
    from orchestrator.forecast import Forecast

SHOWN_BESIDE = 4
HEADERS = ["#", "step", "type", "runs", "after", "when", "note", "core-hours"]


@click.command("plan")
@click.argument("recipe")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input.")
@click.option("--explain", is_flag=True, help="Say what would become of each step, and why.")
@selection_options
@workspaces_option
@json_option
def command(
    recipe: str,
    settings: tuple[str, ...],
    explain: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
    **selecting: Any,  # noqa: ANN401  click's own types
) -> None:
    """Show the steps of RECIPE in the order in which they would run; nothing is run or written."""
    plan = plan_recipe(recipe_file(recipe, workspaces_dir), read_settings(settings), read_selection(selecting))
    asked = demands(plan)
    if explain:
        _explain(plan, asked, workspaces_root(workspaces_dir), as_json=as_json)
    elif as_json:
        print_json(_document(plan, asked))
    else:
        print_table((_row(plan, task, one) for task, one in zip(plan.tasks, asked, strict=True)), HEADERS)
        if summary := in_words(plan, asked):
            click.echo(summary, err=True)
    refuse_over_budget(plan.loaded, asked)


def _explain(plan: Plan, asked: Sequence[Demand], workspaces: Path, *, as_json: bool) -> None:
    from orchestrator.forecast import forecast, locks_of  # noqa: PLC0415  a plain plan does without it

    outlook = list(forecast(plan, workspaces))
    if as_json:
        document = _document(plan, asked)
        for entry, seen in zip(document["tasks"], outlook, strict=True):
            entry.update(outcome=seen.what, why=seen.why, beside=list(seen.beside), locks=list(locks_of(seen.task)))
        print_json(document)
        return
    rows = (
        [
            seen.task.position + 1,
            seen.task.task_id,
            seen.what,
            ", ".join(_after(plan, seen.task)),
            _beside(seen),
            seen.why,
        ]
        for seen in outlook
    )
    print_table(rows, ["#", "step", "what", "after", "beside", "why"])


def _beside(seen: Forecast) -> str:
    if len(seen.beside) <= SHOWN_BESIDE:
        return ", ".join(seen.beside)
    return f"{', '.join(seen.beside[:SHOWN_BESIDE])} and {len(seen.beside) - SHOWN_BESIDE} more"


def _row(plan: Plan, task: PlannedTask, asked: Demand) -> list[object]:
    note = f"skip: {task.left_out}" if task.left_out else ", ".join(_limits(task))
    after = ", ".join(_after(plan, task))
    return [task.position + 1, task.task_id, task.kind, task.runs, after, task.when, note, of_step(asked)]


def _limits(task: PlannedTask) -> list[str]:
    limits = [f"timeout {task.timeout_sec:g}s"] if task.timeout_sec else []
    retries = task.node.retry.max
    return [*limits, *([f"{retries} retr{'y' if retries == 1 else 'ies'}"] if retries else [])]


def _after(plan: Plan, task: PlannedTask) -> list[str]:
    return [plan.tasks[position].task_id for position in task.node.waits_for]


def _document(plan: Plan, asked: Sequence[Demand]) -> dict[str, Any]:
    return {
        "recipe": plan.source.name,
        "recipe_sha256": plan.source.sha256,
        "inputs": plan.inputs,
        "core_hours": together(plan, asked),
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
                **of_task(one),
            }
            for task, one in zip(plan.tasks, asked, strict=True)
        ],
    }
