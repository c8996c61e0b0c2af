"""Time the reports of a run of 10,000 tasks, each with a log, and their size and memory."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.cli.report_command import write_report
from orchestrator.invoke import happen
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.database import close_opened, opened

TASKS = 10_000
LOG = "a line of a log, as a step writes it\n" * 20


def make_run(folder: Path) -> Path:
    """Record a run by the same functions as the runner, in few transactions."""
    run_root = folder / "20260102_030405_0a1b2c3d"
    tasks = [{"task_id": f"s{n}", "step": f"s{n}", "definition_sha256": "0" * 64} for n in range(TASKS)]
    happen(
        "run.new",
        {
            "run_root": str(run_root),
            "workspace_slug": "bench",
            "recipe_name": "bench.yaml",
            "recipe_text": "steps: []\n",
            "inputs": {},
            "tasks": tasks,
        },
    )
    database = opened(run_root)
    result = AttemptResult(
        status=AttemptState.COMPLETED, task_status=TaskState.COMPLETED, outcome="ok", stderr=LOG, duration_sec=0.1
    )
    with database.transaction():
        for task in tasks:
            attempt_id, _ = open_attempt(database, task["task_id"], {}, "local.default")
            close_attempt(database, task["task_id"], attempt_id, result)
    close_opened(run_root)
    return run_root


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        run_root = make_run(Path(name))
        print(f"{'what':<28}{'s':>8}{'bound':>8}{'file MB':>10}{'bound':>8}{'peak MB':>10}{'bound':>8}")
        for kind in ("junit", "html"):
            began = time.perf_counter()
            path = write_report(run_root, kind)
            took, size = time.perf_counter() - began, path.stat().st_size / 1e6
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
            print(f"{f'{kind}, {TASKS} tasks':<28}{took:>8.2f}{5:>8}{size:>10.1f}{20:>8}{peak:>10.0f}{300:>8}")


if __name__ == "__main__":
    main()
