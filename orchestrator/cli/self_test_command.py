"""``matterstack self-test``: run a small recipe in a temporary folder and check that everything works here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from orchestrator.errors import MatterStackError
from orchestrator.files import replace_file
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.events import chain_fault

_RECIPE = """\
schema: matterstack/recipe/v1
steps:
  - name: measure
    type: shell
    run: |
      printf '3\\n1\\n2\\n' > numbers.txt
      echo '{"status": "ok", "outputs": {"self.file_v1": "numbers.txt"}}'
  - name: describe
    type: python
    module: scriptlets.steps.compute_numbers
    args: { src: "${{ ctx.self.file_v1 }}" }
    success: { expect: ["ctx.numbers.stats_v1.mean == 2", "ctx.numbers.stats_v1.count == 3"] }
"""


@click.command("self-test")
def command() -> int:
    """Run a shell step and a Python step in worker processes and in this one, then check the records."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="matterstack-self-test-") as folder, _inside(Path(folder)):
        replace_file(Path("recipe.yaml"), _RECIPE.encode())
        results = [_check(f"{word} steps", inline=inline) for word, inline in (("worker", False), ("inline", True))]
    return 0 if all(results) else 1


def _check(name: str, *, inline: bool) -> bool:
    options = DriveOptions(inline=inline)
    request = RunRequest(recipe="recipe.yaml", workspaces_dir=Path("workspaces"), fresh=True, options=options)
    try:
        fault = _fault(run(request))
    except MatterStackError as error:
        fault = error.explained()
    click.echo(f" {'FAIL' if fault else 'ok  '} {name}{': ' + fault if fault else ''}", err=True)
    return not fault


def _fault(outcome: Outcome) -> str:
    if outcome.status is not RunState.COMPLETED:
        return f"{outcome.step}: {outcome.reason}"
    with reading(outcome.run_root) as database:
        return chain_fault(database)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
