"""Time jobs of a real Slurm cluster behind a real SSH server: a thousand of them, and one cluster beside another."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from orchestrator.store.database import reading
from tests.acceptance.program import COMMAND
from tests.acceptance.slurm_projects import RealProject, real_project
from tests.hpc.stack import is_installed, started

MANY = 1000
QUICK = 60
KILLS = 10
POLL_SEC = 10.0
WATCHED_SEC = 60.0
PATIENCE_SEC = 900.0

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
            stderr=subprocess.DEVNULL,
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


def equal_jobs(project: RealProject, count: int) -> None:  # noqa: PLR0915  one story from begin to end
    """Let a fan of equal jobs run, and kill its runner on the way."""
    ran = project.root.parent / "ran"
    ran.touch()
    ran.chmod(0o666)
    calls = timed(project, "sbatch"), timed(project, "squeue")
    project.wire(poll_every=POLL_SEC)
    command = f"echo $N >> {ran}; echo $N > out.txt"
    step = {"name": "each", "foreach": f"${{{{ range({count}) }}}}", "env": {"N": "${{ item }}"}, "stdout": "free"}
    more = {"resources": {"cores": 1, "time_limit": "10m"}, "fetch": {"required": ["out.txt"]}}
    project.recipe({**step, **more, "run": ["sh", "-c", command]})
    with closed_partition(project):
        runner = Runner(project, "run", "demo")
        until(lambda: project.calls("sbatch"))
        # The first is killed before it can know of its job, the others soon after.
        for pause in (0.0, 1.0, 3.0):
            time.sleep(pause)
            runner.kill()
            runner = Runner(project, "resume", "@last")
        until(lambda: len(queued(project)) == count)
        time.sleep(2 * POLL_SEC)
        share = runner.share(WATCHED_SEC)
    began = time.monotonic()
    chance = random.Random(0)  # noqa: S311  no secret
    for _ in range(KILLS - 3):
        time.sleep(chance.uniform(1.0, 2.0 * POLL_SEC))
        runner.kill()
        runner = Runner(project, "resume", "@last")
    runner.process.wait(PATIENCE_SEC)
    print(f"{count} equal jobs, runner killed {KILLS} times: {time.monotonic() - began:.0f} s since the first began")
    lines = ran.read_text(encoding="ascii").split()
    results = [path.read_bytes() for path in project.project.folder.rglob("out.txt")]
    report("jobs that ran twice", len(lines) - len(set(lines)), 0)
    report("jobs that did not run", count - len(set(lines)), 0)
    fetched = {hashlib.sha256(one).hexdigest() for one in results}
    report("results not fetched and hashed", count - len(fetched & digests(project)), 0)
    report("calls of sbatch", len(calls[0]()), 2)
    report("squeue: shortest interval, in parts of poll_every, missing to 1", 1 - shortest(calls[1]()) / POLL_SEC, 0.05)
    report(f"runner's share of a processor, {count} jobs waiting, a look each {POLL_SEC:g} s or more", share, 0.01)


def unequal_jobs(project: RealProject, count: int) -> None:
    """Submit jobs that all ask for something else, and give what the runner adds to sbatch's own time."""
    calls = timed(project, "sbatch")
    project.wire(poll_every=POLL_SEC)
    project.recipe(
        *(
            {"name": f"s{n}", "run": ["true"], "stdout": "free", "resources": {"memory_gb": (100 + n) / 1024}}
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
    return min(later - sooner for sooner, later in pairwise(begins))


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
    """Open or close the partition in which jobs run."""
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
        for measure in (equal_jobs, unequal_jobs):
            with real_project(Path(name) / measure.__name__, centre) as project:
                measure(project, COUNT)
