"""``matterstack replay RUN TASK``: run one step of a run again, with the arguments and values that it had."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, workspaces_option
from orchestrator.cli.output import harmless, print_json, print_table, seconds
from orchestrator.paths import workspaces_root
from orchestrator.replay import Replay, debug, replay, to_json
from orchestrator.store.finding import find_run


@click.command("replay")
@click.argument("run")
@click.argument("task")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="As this attempt; else as the last.")
@click.option("--pdb", "in_debugger", is_flag=True, help="Run a Python step here, in the debugger when it fails.")
@workspaces_option
@json_option
def command(
    run: str,
    task: str,
    attempt: int | None,
    in_debugger: bool,  # noqa: FBT001  a command-line flag
    workspaces_dir: Path | None,
    as_json: bool,  # noqa: FBT001  a command-line flag
) -> int:
    """Run the step of TASK again as it ran in RUN, without changing the run; exit with 1 where it fails.

    The step gets the arguments that were recorded and sees the values that were there. Its code is the present one, and
    whatever else it does, such as writing files, it does.
    """
    run_root = find_run(run, workspaces_root(workspaces_dir)).absolute()
    if in_debugger:
        return 0 if debug(run_root, task, attempt) else 1
    done = replay(run_root, task, attempt)
    click.echo(harmless(done.stderr), err=True, nl=not done.stderr.endswith("\n") and bool(done.stderr))
    if as_json:
        print_json(to_json(done))
    else:
        _show(done)
    return 1 if done.verdict.failing else 0


def _show(done: Replay) -> None:
    differing = set(done.differing)
    rows = (
        [key, "differs" if key in differing else "same", done.then.get(key) or "", done.now.get(key) or ""]
        for key in {**done.then, **done.now}
    )
    print_table(rows, ["key", "what", "then", "now"])
    attempt, failing = done.attempt, done.verdict.failing
    then = f"{attempt.status.lower()}{f' ({attempt.status_reason})' if attempt.status_reason else ''}"
    now = f"failed: {failing.reason}" if failing else "ok"
    click.echo(
        harmless(f"{attempt.task_id}: {now} in {seconds(done.duration_sec)}; attempt {attempt.attempt_index}: {then}"),
        err=True,
    )
