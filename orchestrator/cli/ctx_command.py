"""``matterstack ctx``: read the values that the steps of a run shared, and who wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.store.contexts import HistoryEntry, read_context, read_history


@click.group("ctx")
def command() -> None:
    """Read the context of a run."""


@command.command("get")
@click.argument("run")
@click.argument("key", required=False)
@workspaces_option
def get(run: str, key: str | None, workspaces_dir: Path | None) -> None:
    """Print the value of KEY as JSON, or the whole context."""
    database = open_run_for_reading(run, workspaces_dir)
    values = {change.key: change.value for change in read_context(database)}
    if key is not None and key not in values:
        raise UsageError(f"the context of {database.run_root.name} has no {key!r}", hint=did_you_mean(key, values))
    print_json(values if key is None else values[key])


@command.command("keys")
@click.argument("run")
@workspaces_option
def keys(run: str, workspaces_dir: Path | None) -> None:
    """List the keys, one a line."""
    for change in read_context(open_run_for_reading(run, workspaces_dir)):
        click.echo(change.key)


@command.command("history")
@click.argument("run")
@click.argument("key", required=False)
@workspaces_option
@json_option
def history(run: str, key: str | None, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """List every write, oldest first, or those of KEY; writes of failed attempts are marked as rolled back."""
    entries = read_history(open_run_for_reading(run, workspaces_dir), key)
    if as_json:
        print_json([_document(entry) for entry in entries])
        return
    rows = ([e.seq, e.key, e.who, e.task_id, "rolled back" if e.rolled_back else "", e.value_json] for e in entries)
    print_table(rows, ["seq", "key", "who", "task", "note", "value"])


def _document(entry: HistoryEntry) -> dict[str, Any]:
    value = None if entry.value_json is None else json.loads(entry.value_json)
    return {
        "seq": entry.seq,
        "key": entry.key,
        "value": value,
        "deleted": entry.value_json is None,
        "who": entry.who,
        "task_id": entry.task_id,
        "attempt_id": entry.attempt_id,
        "rolled_back": entry.rolled_back,
    }
