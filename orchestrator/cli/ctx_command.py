"""``matterstack ctx``: read the values that the steps of a run shared, and who wrote them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, open_run_for_reading, workspaces_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.store.contexts import HistoryEntry, read_context, read_context_at, read_history, read_origins
from orchestrator.store.database import Database


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


@command.command("blame")
@click.argument("run")
@click.argument("key", required=False)
@workspaces_option
@json_option
def blame(run: str, key: str | None, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Say of every present value, or that of KEY, which task wrote it, in which attempt and when."""
    database = open_run_for_reading(run, workspaces_dir)
    origins = [origin for origin in read_origins(database) if key in (None, origin.key)]
    if key is not None and not origins:
        known = [change.key for change in read_context(database)]
        raise UsageError(f"the context of {database.run_root.name} has no {key!r}", hint=did_you_mean(key, known))
    if as_json:
        print_json([dataclasses.asdict(origin) for origin in origins])
        return
    rows = ([o.key, o.task_id or "", o.attempt_index, o.who, o.seq, o.at_utc] for o in origins)
    print_table(rows, ["key", "task", "attempt", "who", "seq", "at_utc"])


@command.command("at")
@click.argument("run")
@click.argument("seq", type=click.IntRange(0))
@workspaces_option
def at(run: str, seq: int, workspaces_dir: Path | None) -> None:
    """Print the context as it was after event SEQ, as 'history' numbers them."""
    values = read_context_at(open_run_for_reading(run, workspaces_dir), seq)
    print_json({key: json.loads(text) for key, text in values.items()})


@command.command("diff")
@click.argument("before")
@click.argument("after")
@workspaces_option
@json_option
def diff(before: str, after: str, workspaces_dir: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Compare the contexts of two runs: keys that came, went or changed."""
    old, new = (_texts(open_run_for_reading(run, workspaces_dir)) for run in (before, after))
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if as_json:
        print_json({key: {"before": _value(old.get(key)), "after": _value(new.get(key))} for key in changed})
        return
    words = {(True, False): "went", (False, True): "came", (True, True): "changed"}
    rows = ([key, words[key in old, key in new], old.get(key, ""), new.get(key, "")] for key in changed)
    print_table(rows, ["key", "what", "before", "after"])


def _texts(database: Database) -> dict[str, str]:
    return {change.key: change.text or "" for change in read_context(database)}


def _value(text: str | None) -> Any:  # noqa: ANN401  any JSON value
    return None if text is None else json.loads(text)


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
