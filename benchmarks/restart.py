"""Time how soon a run of 100,000 attempts that was killed is shown, and goes on."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chains import HERE
from benchmarks.start import timed
from orchestrator.context import Change
from orchestrator.runner import RunRequest, init_run
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.database import close_opened, opened
from orchestrator.store.runs import expand_task, set_run_state

ATTEMPTS = 100_000
LEFT = 3
ROUNDS = 5


def recipe_text(count: int, log: Path) -> str:
    """Give a recipe whose one step fans out into ``count`` tasks, which note in a file when they ran."""
    return f"""\
schema: matterstack/recipe/v1
steps:
  - name: each
    type: python
    module: ./note.py
    function: Note
    foreach: ${{{{ range({count}) }}}}
    args: {{ n: "${{{{ item }}}}", to: {log} }}
"""


def make_killed_run(recipe: Path, workspaces: Path, done: int, left: int) -> Path:
    """Record a run as a runner leaves it that is killed; return its directory.

    The step ``each`` of the recipe has the items 0, 1, 2, ..., each of which writes itself under ``bench.n_v1``.
    The first ``done`` have succeeded, the next was under way, ``left`` have not begun.
    """
    run_root = init_run(RunRequest(recipe=str(recipe), workspaces_dir=workspaces))
    database = opened(run_root)
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        expand_task(database, "each", [(str(n), str(n)) for n in range(done + 1 + left)])
        for n in range(done):
            attempt_id, _ = open_attempt(database, f"each[{n}]", {"n": n}, "local.default")
            close_attempt(database, f"each[{n}]", attempt_id, _result(n))
        open_attempt(database, f"each[{done}]", {"n": done}, "local.default")
    close_opened(run_root)
    return run_root


def _result(n: int) -> AttemptResult:
    return AttemptResult(
        status=AttemptState.COMPLETED,
        task_status=TaskState.COMPLETED,
        outcome="ok",
        exit_code=0,
        changes=(Change("bench.n_v1", str(n), f"each[{n}]"),),
        duration_sec=0.1,
    )


def main(argv: list[str]) -> None:
    """Print the table; ``--quick`` takes a tenth of the attempts."""
    count = ATTEMPTS // 10 if "--quick" in argv else ATTEMPTS
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        shutil.copy(HERE / "steps" / "note.py", folder)
        recipe, log = folder / "fan.yaml", folder / "log"
        recipe.write_text(recipe_text(count, log), encoding="utf-8")
        run_root = make_killed_run(recipe, folder / "made", count - 1 - LEFT, LEFT)
        print(f"{f'a killed run of {count:,} attempts':<44}{'s':>8}{'bound':>8}")
        _row("status", _median(lambda: timed(_command("status", run_root))[0]), 1)
        _row("status --json", _median(lambda: timed(_command("status", run_root, "--json"))[0]), None)
        _row("resume, until the first step has begun", _median(lambda: _first_step_sec(folder, run_root)), 5)


def _first_step_sec(folder: Path, run_root: Path) -> float:
    """Resume a copy of a run; give the seconds until the first step's own code notes the time."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    shutil.copytree(folder / "made", folder / "runs")
    (folder / "log").unlink(missing_ok=True)
    began = time.time()
    timed(_command("resume", folder / "runs" / run_root.relative_to(folder / "made"), "-q"))
    return float((folder / "log").read_text(encoding="utf-8").split()[0]) - began


def _command(verb: str, run_root: Path, *options: str) -> list[str]:
    runs = ["--workspaces-dir", str(run_root.parents[2])]
    return [sys.executable, "-m", "orchestrator", verb, run_root.name, *runs, *options]


def _row(name: str, sec: float, bound: int | None) -> None:
    print(f"{name:<44}{sec:>8.2f}{bound or '':>8}", flush=True)


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS))


if __name__ == "__main__":
    main(sys.argv[1:])
