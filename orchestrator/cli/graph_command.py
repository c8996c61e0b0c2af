"""``matterstack graph RECIPE|RUN``: the steps, or the tasks of a run, and what they wait for, as a picture in text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import recipe_file, workspaces_option
from orchestrator.cli.output import print_json
from orchestrator.errors import UsageError
from orchestrator.nodes import Phase
from orchestrator.paths import STATE_NAME, workspaces_root
from orchestrator.states import TaskState

if TYPE_CHECKING:
    from orchestrator.cli.boxes import Box

_TITLES = {Phase.STEPS: "steps", Phase.ON_FAILURE: "on_failure", Phase.FINALLY: "finally"}
_COLOURS = {
    TaskState.COMPLETED: "#2e7d32",
    TaskState.FAILED: "#c62828",
    TaskState.RUNNING: "#0277bd",
    TaskState.WAITING_EXTERNAL: "#f9a825",
}
_RUN = re.compile(r"@.*|[0-9][0-9a-f_]*")
_LATER = "note: what is planned during a run is not known before; draw that of a run with: matterstack graph RUN"


@click.command("graph")
@click.argument("recipe", metavar="RECIPE|RUN")
@click.option("--format", "kind", type=click.Choice(["mermaid", "dot", "json"]), default="mermaid", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give an input of a recipe.")
@workspaces_option
def command(recipe: str, kind: str, settings: tuple[str, ...], workspaces_dir: Path | None) -> None:
    """Draw the steps of RECIPE and what each waits for, for Mermaid, Graphviz or a program.

    Of a RUN, draw the tasks that it has by now, with their states and all that was planned meanwhile.
    """
    is_run = _names_run(recipe, workspaces_root(workspaces_dir))
    if is_run and settings:
        raise UsageError("--set is for recipes", hint="leave it out: a run has its inputs")
    boxes = _tasks(recipe, workspaces_dir) if is_run else _steps(recipe, settings, workspaces_dir)
    if kind == "json":
        print_json(_document(boxes))
    else:
        click.echo("\n".join(_DRAWERS[kind](boxes)))


def _names_run(name: str, workspaces: Path) -> bool:
    """Tell whether a run is meant: by its directory, or by a name that no file or workspace has."""
    if (Path(name) / STATE_NAME).is_file():
        return True
    is_there = Path(name).exists() or (workspaces / name).exists()
    return not is_there and _RUN.fullmatch(name) is not None


def _steps(name: str, settings: tuple[str, ...], workspaces_dir: Path | None) -> list[Box]:
    from orchestrator.cli.boxes import has_more_later, steps_of  # noqa: PLC0415  slow, as the plan is
    from orchestrator.inputs import read_settings  # noqa: PLC0415
    from orchestrator.plan import plan_recipe  # noqa: PLC0415

    plan = plan_recipe(recipe_file(name, workspaces_dir), read_settings(settings))
    if has_more_later(plan):
        click.echo(_LATER, err=True)
    return steps_of(plan)


def _tasks(name: str, workspaces_dir: Path | None) -> list[Box]:
    from orchestrator.cli.boxes import tasks_of  # noqa: PLC0415  slow, as the plan is
    from orchestrator.store.database import update_legacy  # noqa: PLC0415
    from orchestrator.store.finding import find_run  # noqa: PLC0415

    run_root = find_run(name, workspaces_root(workspaces_dir))
    update_legacy(run_root)
    return tasks_of(run_root)


def _document(boxes: Sequence[Box]) -> dict[str, Any]:
    return {
        "nodes": [_node(box, boxes) for box in boxes],
        "edges": [[boxes[before].name, box.name] for box in boxes for before in box.waits_for],
    }


def _node(box: Box, boxes: Sequence[Box]) -> dict[str, Any]:
    node = {"id": box.name, "type": box.kind, "list": _TITLES[box.phase], "fans_out": bool(box.fans_by)}
    if box.state is None:
        return node
    return {**node, "state": box.state, "parent": None if box.parent is None else boxes[box.parent].name}


def _mermaid(boxes: Sequence[Box]) -> Iterator[str]:
    yield "flowchart TD"
    for phase, title in _TITLES.items():
        if within := [box for box in boxes if box.phase is phase]:
            yield from (f"  subgraph {title}", *(f"    {_mermaid_node(box)}" for box in within), "  end")
    yield from (f"  n{before} --> n{box.position}" for box in boxes for before in box.waits_for)
    yield from (f"  n{box.parent} -.- n{box.position}" for box in boxes if box.parent is not None)
    for state in (state for state in _COLOURS if any(box.state is state for box in boxes)):
        yield f"  classDef {state} stroke:{_COLOURS[state]},stroke-width:2px"


def _mermaid_node(box: Box) -> str:
    """Give a node; names of steps and tasks hold nothing that would have to be escaped."""
    open_, close = ("[[", "]]") if box.fans_by else ("[/", "/]") if box.is_expanded else ("[", "]")
    return f'n{box.position}{open_}"{box.label}"{close}{f":::{box.state}" if box.state in _COLOURS else ""}'


def _dot(boxes: Sequence[Box]) -> Iterator[str]:
    yield from ("digraph recipe {", "  rankdir=TB; node [shape=box];")
    for box in boxes:
        shape = ", peripheries=2" if box.fans_by else ", shape=folder" if box.is_expanded else ""
        style = ", style=dashed" if box.phase is not Phase.STEPS else ""
        colour = f', color="{_COLOURS[box.state]}"' if box.state in _COLOURS else ""
        yield f"  n{box.position} [label={json.dumps(box.label, ensure_ascii=False)}{shape}{style}{colour}];"
    yield from (f"  n{before} -> n{box.position};" for box in boxes for before in box.waits_for)
    yield from (
        f"  n{box.parent} -> n{box.position} [style=dotted, arrowhead=none];" for box in boxes if box.parent is not None
    )
    yield "}"


_DRAWERS: dict[str, Callable[[Sequence[Box]], Iterator[str]]] = {"mermaid": _mermaid, "dot": _dot}
