"""Time chains of steps: Python inline, Python in a warm worker, shell; and how the cost grows with the length."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.floors import Floors, measure_floors
from orchestrator.progress import Happening, RunBegun, RunSettled
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState

HERE = Path(__file__).resolve().parent
ENVELOPE = json.dumps({"status": "ok", "outputs": []})
ECHO = ("/bin/echo", ENVELOPE)
ROUNDS = 3


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
    steps = (
        f"  - {{ name: s{n}, type: python, module: ./touch.py, function: Touch, args: {{ n: {n} }} }}"
        for n in range(count)
    )
    return "\n".join(["schema: matterstack/recipe/v1", "steps:", *steps, ""])


def shell_recipe(count: int) -> str:
    """Give a recipe of ``count`` shell steps that answer with an empty envelope."""
    command = json.dumps(list(ECHO))
    steps = (f"  - {{ name: s{n}, type: shell, run: {command} }}" for n in range(count))
    return "\n".join(["schema: matterstack/recipe/v1", "steps:", *steps, ""])


def step_ms(recipe: str, count: int, *, inline: bool) -> tuple[float, Floors]:
    """Run a recipe; give the milliseconds a step costs, and the floors in the same folder just before and after."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        path = folder / "chain.yaml"
        path.write_text(recipe, encoding="utf-8")
        shutil.copy(HERE / "steps" / "touch.py", folder)
        before = measure_floors(folder, ECHO)
        watch = Stopwatch()
        options = DriveOptions(inline=inline, reporter=watch)
        request = RunRequest(recipe=str(path), workspaces_dir=folder / "runs", fresh=True, options=options)
        outcome = run(request)
        floors = before.mean_with(measure_floors(folder, ECHO))
    if outcome.status is not RunState.COMPLETED:
        sys.exit(f"the benchmark's own run failed: {outcome.step}: {outcome.reason}")
    return (watch.settled - watch.began) / count * 1e3, floors


def median_ratio(measure: Callable[[], tuple[float, float]], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Repeat a measurement; give the round with the median ratio as (cost, floor, ratio)."""
    results = sorted((measure() for _ in range(rounds)), key=lambda pair: pair[0] / pair[1])
    cost, floor = results[len(results) // 2]
    return cost, floor, cost / floor


def main(argv: list[str]) -> None:
    """Print the table; ``--quick`` takes shorter chains."""
    count = 200 if "--quick" in argv else 1000
    print(f"{'what':<38}{'ms a step':>10}{'floor ms':>10}{'ratio':>7}{'bound':>7}")
    for name, bound, measure in _measurements(count):
        cost, floor, ratio = median_ratio(measure)
        print(f"{name:<38}{cost:>10.3f}{floor:>10.3f}{ratio:>7.2f}{bound:>7.1f}", flush=True)
    short, long = _growth(count)
    print(
        f"{f'inline, {10 * count} steps against {count}':<38}{long:>10.3f}{short:>10.3f}{long / short:>7.2f}{1.2:>7.1f}"
    )


def _measurements(count: int) -> list[tuple[str, float, Callable[[], tuple[float, float]]]]:
    def chain(recipe: str, steps: int, *, inline: bool, spawns: bool = False) -> tuple[float, float]:
        cost, floors = step_ms(recipe, steps, inline=inline)
        return cost, floors.commit_ms + (floors.spawn_ms if spawns else 0.0)

    python, shell, few = python_recipe(count), shell_recipe(count // 4), count // 4
    return [
        (f"{count} python steps, inline", 2.5, lambda: chain(python, count, inline=True)),
        (f"{count} python steps, warm worker", 4.0, lambda: chain(python, count, inline=False)),
        (f"{few} shell steps (floor: spawn + commit)", 1.5, lambda: chain(shell, few, inline=False, spawns=True)),
    ]


def _growth(count: int) -> tuple[float, float]:
    """Give the cost of a step, in commits, in a short and in a ten times longer chain, as medians."""
    pairs = [(_in_commits(count), _in_commits(10 * count)) for _ in range(ROUNDS)]
    return statistics.median(short for short, _ in pairs), statistics.median(long for _, long in pairs)


def _in_commits(count: int) -> float:
    cost, floors = step_ms(python_recipe(count), count, inline=True)
    return cost / floors.commit_ms


if __name__ == "__main__":
    main(sys.argv[1:])
