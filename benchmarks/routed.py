"""Time steps that an operator carries out: rehearsed, as real processes, waiting; and the runner's own book-keeping."""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chains import ECHO, HERE, Stopwatch
from benchmarks.floors import measure_floors
from orchestrator.context import Context
from orchestrator.invoke import happen
from orchestrator.operators.assignments import assignment_of
from orchestrator.operators.crew import Crew
from orchestrator.operators.people import People
from orchestrator.runner import RunRequest, init_run, resume_run, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_open_attempts
from orchestrator.wiring.options import WiringOptions
from scriptlets.core.resolve_wiring import ResolveWiring

MANY = 1000
LONGER = 10
CALLS = 1000

_REHEARSED = "operators: { hpc.default: { kind: hpc, backend: { type: local, dry_run: true } } }"
_REAL = "operators: { hpc.default: { kind: hpc, backend: { type: local } } }"
_PEOPLE = "operators: { human.default: { kind: human } }"


def fan(count: int) -> str:
    """Give a recipe of ``count`` commands that an operator carries out, none of which waits for another."""
    return (
        "schema: matterstack/recipe/v1\nsteps:\n  - { name: each, type: shell, run: ['true'], stdout: free,"
        f" operator_key: hpc.default, foreach: '${{{{ range({count}) }}}}' }}\n"
    )


def questions(count: int) -> str:
    """Give a recipe that asks people ``count`` questions at once."""
    return (
        "schema: matterstack/recipe/v1\nsteps:\n  - { name: each, type: human, instructions: 'so?',"
        f" foreach: '${{{{ range({count}) }}}}' }}\n"
    )


def request_for(folder: Path, recipe: str, wiring: str, watch: Stopwatch | None = None) -> RunRequest:
    """Write a recipe and a wiring into a folder, and give what runs them there."""
    (folder / "r.yaml").write_text(recipe, encoding="utf-8")
    (folder / "operators.yaml").write_text(wiring, encoding="utf-8")
    asked = WiringOptions(operators_config=folder / "operators.yaml")
    options = DriveOptions(asked=asked, reporter=watch) if watch else DriveOptions(asked=asked)
    return RunRequest(recipe=str(folder / "r.yaml"), workspaces_dir=folder / "runs", fresh=True, options=options)


def fan_sec(count: int, wiring: str) -> tuple[float, float]:
    """Run the commands; give the seconds that it took, and the milliseconds of a durable commit at the same time."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder, watch = Path(name), Stopwatch()
        before = measure_floors(folder, ECHO)
        _check(run(request_for(folder, fan(count), wiring, watch)))
        floors = before.mean_with(measure_floors(folder, ECHO))
    return watch.settled - watch.began, floors.commit_ms


def start_sec() -> float:
    """Give the seconds of opening a run and of its first step, in this process."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        began = time.perf_counter()
        root = init_run(request_for(Path(name), fan(1), _REHEARSED))
        _check(resume_run(root))
        return time.perf_counter() - began


def round_sec(count: int) -> float:
    """Ask so many questions; give the seconds in which the operator looks at all of them once."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        request = request_for(Path(name), questions(count), _PEOPLE)
        outcome = run(dataclasses.replace(request, options=dataclasses.replace(request.options, once=True)))
        crew = Crew(lambda _: People(), lambda: None, has_threads=False)
        with reading(outcome.run_root) as database:
            for row in read_open_attempts(database):
                crew.hand_over(assignment_of(database, row))
        crew.sightings()
        began = time.perf_counter()
        crew.sightings()
        return time.perf_counter() - began


def scriptlet_sec() -> float:
    """Give the seconds that a core scriptlet costs beside its work: the one that says what is in force here."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        params = {"workspace": name}
        target = ResolveWiring()

        def direct() -> None:
            target.work(Context(), params)

        return _mean_sec(lambda: happen("run.planned", params)) - _mean_sec(direct)


def _mean_sec(call: Callable[[], object]) -> float:
    """Give the median over five batches of the mean seconds of a call."""
    batches = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(CALLS // 5):
            call()
        batches.append((time.perf_counter() - began) / (CALLS // 5))
    return statistics.median(batches)


def children() -> int:
    """Give how many processes this one has started that were not awaited."""
    return sum(1 for path in Path(f"/proc/{os.getpid()}/task").glob("*/children") for _ in path.read_text().split())


def _check(outcome: Outcome) -> None:
    if outcome.status is not RunState.COMPLETED:
        sys.exit(f"the benchmark's own run failed: {outcome.step}: {outcome.reason}")


def main(argv: list[str]) -> None:
    """Print the table; ``--quick`` takes a tenth of the tasks, and the bounds are for all of them."""
    count = MANY // 10 if "--quick" in argv else MANY
    print(f"{'what':<48}{'sec':>9}{'bound':>8}{'floor':>9}")
    sec, commit_ms = fan_sec(count, _REHEARSED)
    _row(f"{count} steps elsewhere, rehearsed", sec, 3.0, count * commit_ms / 1e3)
    before = children()
    real, commit_ms = fan_sec(count, _REAL)
    _row(f"{count} steps elsewhere, real processes", real, 6.0, count * commit_ms / 1e3)
    _row("processes not awaited after that", children() - before, 0.0, 0.0)
    long, _ = fan_sec(LONGER * count, _REHEARSED)
    _row(f"{LONGER * count} rehearsed, against {LONGER} times {count}", long / (LONGER * sec), 1.3, 1.0)
    _row("init and the first step", statistics.median(start_sec() for _ in range(5)), 0.6, 0.0)
    _row(f"a look at {LONGER * count} questions", round_sec(LONGER * count), 0.3, 0.0)
    _row("a core scriptlet, beside its work", scriptlet_sec(), 0.0001, 0.0)


def _row(name: str, value: float, bound: float, floor: float) -> None:
    print(f"{name:<48}{value:>9.4f}{bound:>8.4g}{floor:>9.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
