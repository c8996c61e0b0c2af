"""Time steps that an operator carries out: rehearsed, as real processes, waiting; and the runner's own book-keeping."""

from __future__ import annotations

import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chains import ECHO, HERE, Stopwatch
from benchmarks.floors import measure_floors
from orchestrator.context import Context
from orchestrator.invoke import happen
from orchestrator.operators.asking import Question
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.crew import Crew
from orchestrator.operators.human import respond
from orchestrator.operators.local import LocalOperator
from orchestrator.operators.questions import open_questions
from orchestrator.operators.staging import CLAIM
from orchestrator.progress import Happening, TaskEnded, TaskWaiting
from orchestrator.runner import RunRequest, init_run, resume_run, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.wiring.options import WiringOptions
from scriptlets.core.resolve_wiring import ResolveWiring

MANY = 1000
LONGER = 10
CALLS = 1000
PASSES = 10

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


class Waiting:
    """Measure a runner whose run waits for answers, and then stop it: the processor's seconds of one pass over them.

    A pass is a look of the operator and what the runner does meanwhile. ``answered`` is how long after an answer was
    written its step has ended, its durable commit included.
    """

    def __init__(self, run_root: Path, count: int) -> None:
        self.pass_sec = self.answered = 0.0
        self._run_root = run_root
        self._missing = count
        self._all_wait, self._ended = threading.Event(), threading.Event()

    def tell(self, happening: Happening) -> None:
        """Count the questions that wait, and see the first that was answered."""
        self._missing -= isinstance(happening, TaskWaiting)
        if not self._missing:
            self._all_wait.set()
        if isinstance(happening, TaskEnded):
            self._ended.set()

    def measure(self) -> None:
        """Wait for all to be asked, measure, and end this process's run."""
        self._all_wait.wait()
        time.sleep(1.0)
        began, cpu_sec = time.perf_counter(), time.process_time()
        time.sleep(PASSES * 0.5)
        share = (time.process_time() - cpu_sec) / (time.perf_counter() - began)
        self.pass_sec = 0.5 * share / (1 - share)
        with reading(self._run_root) as database:
            asked = open_questions(database)[:5]
        self.answered = statistics.median(self._answer_sec(question) for question in asked)
        os.kill(os.getpid(), signal.SIGTERM)

    def _answer_sec(self, question: Question) -> float:
        self._ended.clear()
        began = time.perf_counter()
        respond(question, {"status": "COMPLETED"})
        self._ended.wait()
        return time.perf_counter() - began


def waiting_sec(count: int) -> tuple[float, float]:
    """Ask so many questions; give the processor's seconds of a pass over them, and how long one answer takes."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        request = request_for(Path(name), questions(count), _PEOPLE)
        outcome = run(dataclasses.replace(request, options=dataclasses.replace(request.options, once=True)))
        waiting = Waiting(outcome.run_root, count)
        threading.Thread(target=waiting.measure, daemon=True).start()
        resume_run(outcome.run_root, DriveOptions(reporter=waiting, handle_signals=True))
        return waiting.pass_sec, waiting.answered


def look_sec(count: int) -> float:
    """Give the seconds of a look at so many attempts of this machine, none of which ends."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        root, crew = Path(name), Crew(lambda _: LocalOperator({}), lambda: None, has_threads=False)
        ids = [f"attempt-{number}" for number in range(count)]
        # Each process stands for a hundred attempts, since it is told by its arguments whose it is.
        sleepers = [
            (subprocess.Popen([sys.executable, "-c", "input()", *ids[at : at + 100]], stdin=subprocess.PIPE), at)
            for at in range(0, count, 100)
        ]
        for sleeper, at in sleepers:
            for attempt_id in ids[at : at + 100]:
                (root / attempt_id / CLAIM).parent.mkdir(parents=True)
                (root / attempt_id / CLAIM).write_text(f"{sleeper.pid} {os.uname().nodename}\n")
                crew.hand_over(_claimed(root, attempt_id), is_begun=True)
        crew.sightings()
        began = time.perf_counter()
        crew.sightings()
        sec = time.perf_counter() - began
        crew.close()
        for sleeper, _ in sleepers:
            sleeper.communicate(b"\n")
        return sec


def _claimed(root: Path, attempt_id: str) -> Assignment:
    return Assignment(
        run_root=root,
        task_id=attempt_id,
        attempt_id=attempt_id,
        attempt_index=1,
        operator_key="local.default",
        relative_path=attempt_id,
        params={},
        work={},
    )


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
    pass_sec, answered = waiting_sec(LONGER * count)
    _row(f"a pass over {LONGER * count} open questions", pass_sec, 0.3, 0.0)
    _row(f"until one answer of {LONGER * count} has counted", answered, 1.1, 0.5)
    _row(f"a look at {LONGER * count} processes that go on", look_sec(LONGER * count), 0.01, 0.0)
    _row("a core scriptlet, beside its work", scriptlet_sec(), 0.0001, 0.0)


def _row(name: str, value: float, bound: float, floor: float) -> None:
    print(f"{name:<48}{value:>9.4f}{bound:>8.4g}{floor:>9.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
