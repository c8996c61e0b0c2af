"""Time fan-outs in warm workers: many tasks of one step, several at a time, their ends committed together."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.chains import ECHO, HERE, ROUNDS, Stopwatch, median_ratio
from benchmarks.floors import measure_floors
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState

JOBS = 4


def recipe(count: int) -> str:
    """Give a recipe whose one step fans out into ``count`` tasks, and one that waits for them."""
    return f"""\
schema: matterstack/recipe/v1
steps:
  - name: each
    type: python
    module: ./touch.py
    function: Touch
    foreach: ${{{{ range({count}) }}}}
    args: {{ n: "${{{{ item }}}}" }}
  - {{ name: last, type: python, module: ./touch.py, function: Touch, args: {{ n: -1 }} }}
"""


def task_ms(count: int) -> tuple[float, float]:
    """Run the recipe; give the milliseconds a task costs, and those of one durable commit at the same time."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        (folder / "fan.yaml").write_text(recipe(count), encoding="utf-8")
        shutil.copy(HERE / "steps" / "touch.py", folder)
        before = measure_floors(folder, ECHO)
        watch = Stopwatch()
        request = RunRequest(
            recipe=str(folder / "fan.yaml"),
            workspaces_dir=folder / "runs",
            fresh=True,
            options=DriveOptions(jobs=JOBS, reporter=watch),
        )
        outcome = run(request)
        floors = before.mean_with(measure_floors(folder, ECHO))
    if outcome.status is not RunState.COMPLETED:
        sys.exit(f"the benchmark's own run failed: {outcome.step}: {outcome.reason}")
    return (watch.settled - watch.began) / count * 1e3, floors.commit_ms


def main(argv: list[str]) -> None:
    """Print the table; ``--quick`` takes fewer tasks."""
    count = 200 if "--quick" in argv else 1000
    print(f"{'what':<38}{'ms a task':>10}{'floor ms':>10}{'ratio':>7}{'bound':>7}")
    cost, floor, ratio = median_ratio(lambda: task_ms(count), ROUNDS)
    print(f"{f'fan-out of {count}, {JOBS} jobs':<38}{cost:>10.3f}{floor:>10.3f}{ratio:>7.2f}{2.0:>7.1f}", flush=True)
    long_cost, long_floor, long_ratio = median_ratio(lambda: task_ms(10 * count), 1)
    growth = long_ratio / ratio
    print(f"{f'{10 * count} tasks against {count}':<38}{long_cost:>10.3f}{long_floor:>10.3f}{growth:>7.2f}{1.2:>7.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
