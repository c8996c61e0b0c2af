"""``matterstack cache``: the results that steps with ``cache`` left for later runs."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.caching import differences
from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.errors import UsageError
from orchestrator.paths import workspaces_root
from orchestrator.store.cache import Result, ResultCache
from orchestrator.store.finding import find_run

HEADERS = ["key", "created_at", "recipe", "task", "run"]

_KEY_DIGITS = 12


@click.group("cache")
def command() -> None:
    """Look at and forget the results that steps with 'cache' left for later runs."""


@command.command("ls")
@workspaces_option
@json_option
def list_results(workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """List the kept results, newest first."""
    cache = ResultCache(workspaces_root(workspaces_dir))
    if as_json:
        print_json([_document(result) for result in cache.iterate()])
    else:
        print_table((_row(result) for result in cache.iterate()), HEADERS)


@command.command("rm")
@click.argument("key", required=False)
@click.option("--all", "everything", is_flag=True, help="Forget all results.")
@workspaces_option
def remove(key: str | None, everything: bool, workspaces_dir: Path | None) -> None:  # noqa: FBT001  a flag
    """Forget the results whose key begins with KEY, so that their steps run again."""
    if (key is None) is not everything:
        raise UsageError("give a key, or --all", hint="see 'matterstack cache ls'")
    count = ResultCache(workspaces_root(workspaces_dir)).remove(key or "")
    click.echo(f"{count} result{'' if count == 1 else 's'} forgotten")


@command.command("why")
@click.argument("run")
@click.argument("task")
@workspaces_option
@json_option
def explain(run: str, task: str, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001  a flag
    """Say why TASK of RUN ran instead of taking over a result: which parts of its key had changed."""
    root = workspaces_root(workspaces_dir)
    run_id = find_run(run, root).name
    results = list(ResultCache(root).iterate())
    kept = next((result for result in results if (result.run_id, result.task_id) == (run_id, task)), None)
    if kept is None:
        raise UsageError(
            f"run {run_id} kept no result of {task!r}",
            hint="it has no 'cache', took over a former result, or did not succeed; see 'matterstack attempts'",
        )
    earlier = next((result for result in results if _is_earlier(result, kept)), None)
    changed = differences(earlier.parts, kept.parts) if earlier else []
    if as_json:
        print_json({"run_id": run_id, "task": task, "earlier": earlier.run_id if earlier else None, "changed": changed})
    elif earlier is None:
        click.echo("there was no earlier result, or a file that its step left had changed")
    else:
        click.echo("\n".join(changed) or f"nothing but its files had changed since run {earlier.run_id}")


def _is_earlier(result: Result, kept: Result) -> bool:
    same = (result.recipe, result.task_id) == (kept.recipe, kept.task_id)
    return same and result.created_at < kept.created_at


def _row(result: Result) -> list[object]:
    return [result.digest[:_KEY_DIGITS], result.created_at, result.recipe, result.task_id, result.run_id]


def _document(result: Result) -> dict[str, object]:
    names = ("digest", "created_at", "recipe", "task_id", "run_id")
    return {**{name: getattr(result, name) for name in names}, "parts": dict(result.parts)}
