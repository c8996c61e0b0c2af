"""``matterstack report RUN``: one file that tells what came of a run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.errors import UsageError
from orchestrator.files import make_directory, replace_file
from orchestrator.paths import workspaces_root
from orchestrator.reports.junit import junit_xml
from orchestrator.reports.page import page_of
from orchestrator.reports.records import read_record
from orchestrator.store.database import reading, update_legacy
from orchestrator.store.finding import find_run

LOG_CAP = 64 * 1024
LOG_BUDGET = 6 * 1024 * 1024

_WRITERS = {"html": (page_of, "report.html"), "junit": (junit_xml, "junit.xml")}


@click.command("report")
@click.argument("run", default="@last")
@click.option("--format", "kind", type=click.Choice(list(_WRITERS)), default="html", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write; else into the run.")
@click.option("--efficiency", is_flag=True, help="Print what jobs on clusters used of what they asked for instead.")
@workspaces_option
@json_option
def command(
    run: str,
    kind: str,
    out: Path | None,
    efficiency: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> None:
    """Write a report of RUN: a page for people, or JUnit XML for test servers; print its path."""
    if as_json and not efficiency:
        raise UsageError("--json is for --efficiency alone", hint="a report is a file; see --format")
    run_root = find_run(run, workspaces_root(workspaces_dir))
    update_legacy(run_root)
    if efficiency:
        from orchestrator.cli.efficiency import show_efficiency  # noqa: PLC0415  slow, and few reports need it

        show_efficiency(run_root, as_json=as_json)
        return
    click.echo(write_report(run_root, kind, out))


def check_target(path: Path) -> None:
    """Refuse a path at which no report can be written, before the run that it is about."""
    folder = next(one for one in path.absolute().parents if one.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"no report can be written at {path}", hint="name a file in a folder that you may write")


def write_report(run_root: Path, kind: str, out: Path | None = None) -> Path:
    """Write a report of one kind and return its path."""
    write, name = _WRITERS[kind]
    with reading(run_root) as database:
        record = read_record(database, log_cap=LOG_CAP, log_budget=LOG_BUDGET)
    path = out or run_root / name
    make_directory(path.absolute().parent)
    replace_file(path, write(record).encode(), mode=0o644)
    return path
