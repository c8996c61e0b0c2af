"""Measure jobs of a real Slurm cluster behind a real SSH server: a thousand of them, and one cluster beside another."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from orchestrator.operators.human import respond
from orchestrator.operators.questions import open_questions
from orchestrator.progress import Happening, TaskEnded, TaskWaiting
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions
from orchestrator.store.database import reading
from orchestrator.wiring.options import WiringOptions
from tests.acceptance.program import COMMAND
from tests.acceptance.slurm_projects import RealProject, real_project
from tests.hpc.stack import is_installed, started

MANY = 1000
QUICK = 60
KILLS = 10
POLL_SEC = 10.0
WATCHED_SEC = 60.0
PATIENCE_SEC = 900.0
EARLY = (0.0, 1.0, 3.0)
# The jobs and what they leave need half a minute or so.
PAUSE = (0.5, 4.5)
ROUNDS = 5

_FREE = {"type": "shell", "stdout": "free"}
# Bash tells the time without starting a program.
_TIMED = 'began=$EPOCHREALTIME\n"$real" "$@"\nrc=$?\necho "$began $EPOCHREALTIME" >> {times}\nexit $rc'
_TICKS = os.sysconf("SC_CLK_TCK")


class Runner:
    """Drive the last run of a project in a process that may be killed."""

    def __init__(self, project: RealProject, *words: str) -> None:
        env = {**os.environ, **project.env, "MATTERSTACK_POLL_FLOOR": "1"}
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=project.project.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(project.project.folder / "stderr.log").open("ab"),
        )

    def kill(self) -> None:
        """End it as a crash of the machine does."""
        self.process.kill()
        self.process.wait()

    def cpu_sec(self) -> float:
        """Give the processor's seconds that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def share(self, seconds: float) -> float:
        """Give the share of one processor that it uses for so long."""
        began, used = time.monotonic(), self.cpu_sec()
        time.sleep(seconds)
        return (self.cpu_sec() - used) / (time.monotonic() - began)


def equal_jobs(project: RealProject, count: int) -> None:
    """Let a fan of equal jobs run, and kill its runner on the way."""
    ran = project.root.parent / "ran"
    ran.touch()
    ran.chmod(0o666)
    submitted, looked = timed(project, "sbatch"), timed(project, "squeue")
    project.wire(poll_every=POLL_SEC)
    step = {"name": "each", "foreach": f"${{{{ range({count}) }}}}", "env": {"N": "${{ item }}"}, **_FREE}
    more = {"resources": {"cores": 1, "time_limit": "10m"}, "fetch": {"required": ["out.txt"]}}
    project.recipe({**step, **more, "run": ["sh", "-c", f"echo $N >> {ran}; echo $N > out.txt"]})
    with closed_partition(project):
        runner, share = _submit_all(project, count)
    began = time.monotonic()
    _kill_on_the_way(runner, project)
    print(
        f"{count} equal jobs, runner killed {KILLS} times: {time.monotonic() - began:.0f} s since the first could begin"
    )
    lines = ran.read_text(encoding="ascii").split()
    report("jobs that ran twice", len(lines) - len(set(lines)), 0)
    report("jobs that did not run", count - len(set(lines)), 0)
    report("results not fetched and hashed", count - len(_fetched(project) & digests(project)), 0)
    report("calls of sbatch", len(submitted()), 2)
    report("parts of poll_every that two looks at the queue are too close", 1 - shortest(looked()) / POLL_SEC, 0.05)
    report(f"runner's share of a processor, {count} jobs waiting, a look each {POLL_SEC:g} s or more", share, 0.01)


def _submit_all(project: RealProject, count: int) -> tuple[Runner, float]:
    """Have all jobs submitted by runners that are killed; give the last one, and its share of a processor then."""
    runner = Runner(project, "run", "demo")
    until(lambda: project.calls("sbatch"))
    # The first is killed before it can know of its job, the others soon after.
    for pause in EARLY:
        time.sleep(pause)
        runner.kill()
        runner = Runner(project, "resume", "@last")
    until(lambda: len(queued(project)) == count)
    time.sleep(2 * POLL_SEC)
    return runner, runner.share(WATCHED_SEC)


def _kill_on_the_way(runner: Runner, project: RealProject) -> None:
    """Kill a runner and the next ones at moments without a pattern, and let the last one come to the end."""
    chance = random.Random(0)  # noqa: S311  the same moments each time
    for _ in range(KILLS - len(EARLY)):
        time.sleep(chance.uniform(*PAUSE))
        if runner.process.poll() is not None:
            sys.exit(f"the run had ended before its runner was killed {KILLS} times")
        runner.kill()
        runner = Runner(project, "resume", "@last")
    status = runner.process.wait(PATIENCE_SEC)
    if status:
        told = project.project.folder.joinpath("stderr.log").read_text(encoding="utf-8")
        sys.exit(f"the last runner ended with {status}:\n{told[-2000:]}")


def _fetched(project: RealProject) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in project.project.folder.rglob("out.txt")}


def unequal_jobs(project: RealProject, count: int) -> None:
    """Submit jobs that all ask for something else, and give what the runner adds to sbatch's own time."""
    calls = timed(project, "sbatch")
    project.wire(poll_every=POLL_SEC)
    project.recipe(
        *(
            {"name": f"s{n}", "depends_on": [], "run": ["true"], **_FREE, "resources": {"memory_gb": (100 + n) / 1024}}
            for n in range(count)
        )
    )
    with closed_partition(project):
        runner = Runner(project, "run", "demo")
        until(lambda: len(calls()) >= count)
        used = runner.cpu_sec()
        runner.kill()
        project.slurm("scancel", f"--user={project.centre.user(project.site)}")
    times = calls()
    spent = max(end for _, end in times) - min(begin for begin, _ in times)
    own = sum(end - begin for begin, end in times)
    print(f"{count} unequal jobs: {spent:.1f} s, of which sbatch {own:.1f} s; the runner's processor {used:.1f} s")
    report("milliseconds of a submission beyond sbatch's own", (spent - own) / count * 1e3, 25)


class Watch:
    """Note when each task ended, and who waits for an answer."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}
        self.waiting: set[str] = set()

    def tell(self, happening: Happening) -> None:
        """Take what the runner tells."""
        if isinstance(happening, TaskEnded):
            self.ended[happening.task_id] = time.monotonic()
        elif isinstance(happening, TaskWaiting):
            self.waiting.add(happening.task_id)


def two_sites(near: RealProject, far: RealProject) -> None:
    """Let one cluster go silent while another one, a person and this machine work."""
    rounds = range(2 * ROUNDS)
    steps = [{"name": "far", "depends_on": [], "operator_key": "hpc.far", "run": ["sleep", "600"], **_FREE}]
    for n in rounds:
        steps += [
            {"name": f"gate{n}", "depends_on": [], "type": "human", "instructions": "so?"},
            {"name": f"here{n}", "depends_on": [f"gate{n}"], "run": ["true"], "operator_key": "local.default", **_FREE},
            {"name": f"near{n}", "depends_on": [f"gate{n}"], "run": ["true"], "operator_key": "hpc.near", **_FREE},
        ]
    folder = near.project.folder
    near.project.write("r.yaml", yaml.safe_dump({"schema": "matterstack/recipe/v1", "steps": steps}))
    wired = {key: _backend(project) for key, project in (("hpc.near", near), ("hpc.far", far))}
    operators = {**wired, "human.default": {"kind": "human"}, "local.default": {"kind": "local"}}
    near.project.write("operators.yaml", yaml.safe_dump({"operators": operators}))
    watch = Watch()
    asked = WiringOptions(operators_config=folder / "operators.yaml")
    request = RunRequest(
        recipe=str(folder / "r.yaml"),
        workspaces_dir=folder / "runs",
        fresh=True,
        options=DriveOptions(asked=asked, reporter=watch, handle_signals=True),
    )
    os.environ["MATTERSTACK_POLL_FLOOR"] = "1"
    threading.Thread(target=_answer, args=(watch, near, far), daemon=True).start()
    run(request)


def _backend(project: RealProject) -> dict[str, object]:
    backend = {"type": "slurm", "workspace_root": str(project.root), "poll_every": 1.0, **project.backend}
    return {"kind": "hpc", "backend": backend}


def _answer(watch: Watch, near: RealProject, far: RealProject) -> None:
    """Answer one question after the other; half-way, the far cluster goes silent."""
    until(lambda: queued(far) and len(watch.waiting) >= 2 * ROUNDS)
    (root,) = (path.parent for path in near.project.folder.glob("runs/**/state.sqlite"))
    took: dict[str, list[float]] = {}
    for n in range(2 * ROUNDS):
        if n == ROUNDS:
            far.proxy.stall()
            time.sleep(5.0)
        with reading(root) as database:
            (question,) = (one for one in open_questions(database) if one.task_id == f"gate{n}")
        answered = time.monotonic()
        respond(question, {"status": "COMPLETED"})
        _await(watch, f"near{n}", f"here{n}")
        state = "up" if n < ROUNDS else "silent"
        gate, here, beyond = (watch.ended[f"{what}{n}"] for what in ("gate", "here", "near"))
        for what, sec in (("a gate", gate - answered), ("a step here", here - gate), ("a job", beyond - gate)):
            took.setdefault(f"{what}, the other cluster {state}", []).append(sec)
    for what, all_sec in took.items():
        print(f"  {what}: median {statistics.median(all_sec):.2f} s, most {max(all_sec):.2f} s")
    for what in ("a gate", "a step here", "a job"):
        up, silent = (statistics.median(took[f"{what}, the other cluster {state}"]) for state in ("up", "silent"))
        report(f"seconds by which {what} is later", silent - up, 1.0)
    far.proxy.resume()
    os.kill(os.getpid(), signal.SIGTERM)


def _await(watch: Watch, *tasks: str) -> None:
    until(lambda: watch.ended.keys() >= {*tasks})


def report(what: str, value: float, most: float) -> None:
    """Print a figure beside its bound."""
    verdict = "ok" if value <= most else "MORE"
    print(f"  {what}: {value:.4g} (at most {most:g}) {verdict}")


def timed(project: RealProject, program: str) -> Callable[[], list[tuple[float, float]]]:
    """Note when a program of the site is called; give a function that tells when the calls began and ended."""
    times = project.shims / f"{program}.times"
    times.touch()
    times.chmod(0o666)
    project.says(program, _TIMED.format(times=times))
    shim = project.shims / program
    shim.write_text(shim.read_text(encoding="utf-8").replace("#!/bin/sh", "#!/bin/bash", 1), encoding="utf-8")

    def told() -> list[tuple[float, float]]:
        rows = [line.split() for line in times.read_text(encoding="ascii").splitlines()]
        return [(float(begin), float(end)) for begin, end in rows]

    return told


def shortest(times: Sequence[tuple[float, float]]) -> float:
    """Give the least seconds between the begins of two calls."""
    begins = sorted(begin for begin, _ in times)
    return min(later - sooner for sooner, later in itertools.pairwise(begins))


def queued(project: RealProject) -> list[str]:
    """Give the jobs that Slurm knows of and that have not ended."""
    return project.centre.slurm("squeue", "-h", "-r", "-o", "%i", site=project.site).stdout.split()


def digests(project: RealProject) -> set[str]:
    """Give the digests that the last run has recorded of what its jobs left."""
    with reading(project.project.run_folders()[-1]) as database:
        rows = database.all("SELECT operator_data_json FROM task_attempts")
    return {one["sha256"] for row in rows for one in json.loads(row[0]).get("artifacts", ())}


@contextmanager
def closed_partition(project: RealProject) -> Iterator[None]:
    """Let the partition take jobs and begin none while the block lasts."""
    set_partition(project, "DOWN")
    try:
        yield
    finally:
        set_partition(project, "UP")


def set_partition(project: RealProject, state: str) -> None:
    """Open or close the partition."""
    project.centre.slurm("scontrol", "update", "PartitionName=batch", f"State={state}", site=project.site)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    patience = time.monotonic() + PATIENCE_SEC
    while not holds():
        if time.monotonic() > patience:
            raise TimeoutError("it never came to that")
        time.sleep(0.1)


if __name__ == "__main__":
    if not is_installed():
        sys.exit("there is no cluster to measure with: 'make test-slurm' installs it, and needs root")
    COUNT = QUICK if "--quick" in sys.argv else MANY
    with started() as centre, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for measure in (equal_jobs, unequal_jobs):
            with real_project(folder / measure.__name__, centre) as project:
                measure(project, COUNT)
        with real_project(folder / "near", centre) as near, real_project(folder / "far", centre, "beta") as far:
            two_sites(near, far)
