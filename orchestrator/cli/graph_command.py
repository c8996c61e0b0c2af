"""``matterstack graph RECIPE``: the steps and what they wait for, as a picture in text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import recipe_file, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.nodes import Phase
from orchestrator.plan import Plan, PlannedTask, plan_recipe

_TITLES = {Phase.STEPS: "steps", Phase.ON_FAILURE: "on_failure", Phase.FINALLY: "finally"}


@click.command("graph")
@click.argument("recipe")
@click.option("--format", "kind", type=click.Choice(["mermaid", "dot", "json"]), default="mermaid", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input.")
@workspaces_option
def command(recipe: str, kind: str, settings: tuple[str, ...], workspaces_dir: Path | None) -> None:
    """Draw the steps of RECIPE and what each waits for, for Mermaid, Graphviz or a program."""
    from orchestrator.inputs import read_settings  # noqa: PLC0415  slow, as the plan is

    plan = plan_recipe(recipe_file(recipe, workspaces_dir), read_settings(settings))
    if kind == "json":
        print_json(_document(plan))
    else:
        click.echo(_DRAWERS[kind](plan))


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "nodes": [
            {"id": task.step, "type": task.kind, "list": _TITLES[task.node.phase], "fans_out": task.fan is not None}
            for task in plan.tasks
        ],
        "edges": [[plan.tasks[before].step, task.step] for task in plan.tasks for before in task.node.waits_for],
    }


def _mermaid(plan: Plan) -> str:
    lines = ["flowchart TD"]
    for phase, title in _TITLES.items():
        tasks = [task for task in plan.tasks if task.node.phase is phase]
        if tasks:
            lines += [f"  subgraph {title}", *(f"    {_mermaid_node(task)}" for task in tasks), "  end"]
    lines += [f"  n{before} --> n{task.position}" for task in plan.tasks for before in task.node.waits_for]
    return "\n".join(lines)


def _mermaid_node(task: PlannedTask) -> str:
    """Give a node; names of steps hold nothing that would have to be escaped."""
    open_, close = ("[[", "]]") if task.fan else ("[/", "/]") if task.is_expanded else ("[", "]")
    return f'n{task.position}{open_}"{_label(task)}"{close}'


def _dot(plan: Plan) -> str:
    lines = ["digraph recipe {", "  rankdir=TB; node [shape=box];"]
    for task in plan.tasks:
        shape = ", peripheries=2" if task.fan else ", shape=folder" if task.is_expanded else ""
        style = ", style=dashed" if task.node.phase is not Phase.STEPS else ""
        lines.append(f"  n{task.position} [label={json.dumps(_label(task))}{shape}{style}];")
    lines += [f"  n{before} -> n{task.position};" for task in plan.tasks for before in task.node.waits_for]
    return "\n".join([*lines, "}"])


def _label(task: PlannedTask) -> str:
    what = "foreach" if task.fan and task.fan.matrix is None else "matrix" if task.fan else ""
    return f"{task.step} ({what})" if what else task.step


_DRAWERS: dict[str, Callable[[Plan], str]] = {"mermaid": _mermaid, "dot": _dot}
