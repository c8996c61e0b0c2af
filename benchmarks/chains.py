"""Time chains of steps: Python inline, Python in a warm worker, shell; and how the cost grows with the length."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.floors import commit_ms, spawn_ms
from orchestrator.progress import Happening, RunBegun, RunSettled
from orchestrator.runner import RunRequest, run
from orchestrator.states import RunState

HERE = Path(__file__).resolve().parent


class Stopwatch:
    """Take the time from the moment a run begins until it has settled."""

    def __init__(self) -> None:
        self.began = self.settled = 0.0

    def tell(self, happening: Happening) -> None:
        """Note the two moments."""
        if isinstance(happening, RunBegun):
            self.began = time.perf_counter()
        elif isinstance(happening, RunSettled):
            self.settled = time.perf_counter()


def python_recipe(count: int) -> str:
    """Give a recipe of ``count`` Python steps, each after the one before."""
    steps = [
        f"  - {{ name: s{n}, type: python, module: ./touch.py, function: Touch, args: {{ n: {n} }} }}"
        for n in range(count)
    ]
    return "\n".join(["schema: matterstack/recipe/v1", "steps:", *steps, ""])


def shell_recipe(count: int) -> str:
    """Give a recipe of ``count`` shell steps that answer with an empty envelope."""
    answer = json.dumps({"status": "ok", "outputs": []}).replace('"', '\\"')
    steps = [f'  - {{ name: s{n}, type: shell, run: [/bin/echo, "{answer}"] }}' for n in range(count)]
    return "\n".join(["schema: matterstack/recipe/v1", "steps:", *steps, ""])


def step_ms(recipe: str, count: int, *, inline: bool) -> tuple[float, float]:
    """Run a recipe; give the milliseconds a step costs and the floor of a commit in the same folder just then."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        path = Path(folder) / "chain.yaml"
        path.write_text(recipe, encoding="utf-8")
        shutil.copy(HERE / "steps" / "touch.py", folder)
        floor = commit_ms(Path(folder))
        watch = Stopwatch()
        outcome = run(
            RunRequest(
                recipe=str(path), workspaces_dir=Path(folder) / "runs", inline=inline, fresh=True, reporter=watch
            )
        )
        floor = (floor + commit_ms(Path(folder))) / 2
    if outcome.status is not RunState.COMPLETED:
        sys.exit(f"the benchmark's own run failed: {outcome.step}: {outcome.reason}")
    return (watch.settled - watch.began) / count * 1e3, floor
