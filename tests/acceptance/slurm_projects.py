"""Projects whose steps run on a cluster: one that is not there, or a real one behind a real login."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.testing.fake_slurm import FakeSlurm
from orchestrator.testing.fake_slurm.cluster import ACTIVE, PROGRAMS
from tests.acceptance.program import Ended, Project
from tests.hpc.centre.faultproxy import FaultProxy
from tests.hpc.stack import Centre

IMPATIENT = {"MATTERSTACK_POLL_FLOOR": "0.1", "MATTERSTACK_LOSS_DELAY": "0.2", "MATTERSTACK_STUCK_AFTER": "0.5"}

_SHIM = """\
#!/bin/sh
real={real}
printf '%s\\n' "$*" >> {calls}
{says}
"""
_PASSES = 'exec "$real" "$@"'
# Nobody waits for ever.
_WAITS = 'for _ in $(seq 2000); do test -e "$0.go" && break; sleep 0.05; done'
_LATE = f'told=$("$real" "$@"); code=$?; {_WAITS}; test -z "$told" || printf "%s\\n" "$told"; exit "$code"'
# What a node tells the controller that could not be set up for a job; none of Slurm's own programs says it.
_BOOT_FAILED = """\
import ctypes, glob, sys
library = ctypes.CDLL(glob.glob("/usr/lib/*/slurm-wlm/libslurmfull.so")[0], ctypes.RTLD_GLOBAL)
library.slurm_init(None)
library.slurm_requeue(int(sys.argv[1]), 0x20000)
"""
_COMPLETED = re.compile(
    r"JobId=(?P<id>\d+) .* Name=(?P<name>.*) JobState=(?P<state>\S+) .* WorkDir=(?P<folder>.*?) Res"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the cluster knows it."""

    job_id: str
    name: str
    state: str

    @property
    def is_active(self) -> bool:
        """Tell whether it waits or runs."""
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmProject(ABC):
    """A project that is wired to a cluster.

    ``root`` is the folder there that is the wiring's. Slurm's programs are reached by way of the ``shims``, of which
    each notes how it was called.
    """

    project: Project
    root: Path
    shims: Path
    backend: Mapping[str, Any]

    @property
    @abstractmethod
    def env(self) -> dict[str, str]:
        """Give the environment of the program, which has a short patience."""

    @property
    @abstractmethod
    def programs(self) -> Path:
        """Give the folder of Slurm's own programs."""

    @abstractmethod
    def jobs(self) -> list[Job]:
        """Give all jobs that were ever submitted for this project, or by `submit`."""

    @abstractmethod
    def slurm(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's programs as the user, past the shims."""

    @abstractmethod
    def controller(self, state: str) -> None:
        """Let the controller be ``up``, ``hung``, or ``down``."""

    @abstractmethod
    def accounting(self, state: str) -> None:
        """Let the accounting be ``on`` or ``down``."""

    @abstractmethod
    def end(self, job_id: str, state: str) -> None:
        """Have a job end in a state.

        One that runs: TIMEOUT, CANCELLED, NODE_FAIL, BOOT_FAIL or PREEMPTED; one that is held: DEADLINE.
        """

    @abstractmethod
    def limit(self, jobs: int | None) -> None:
        """Let the user have so many jobs that wait or run, or any number."""

    @contextmanager
    def without_jobs(self) -> Iterator[None]:
        """Let the user have no jobs while the block lasts."""
        self.limit(0)
        try:
            yield
        finally:
            self.limit(None)

    def wire(self, **more: Any) -> None:  # noqa: ANN401  any value of YAML
        """Write operators.yaml with further keys of the backend."""
        self.wire_all({"hpc.default": self.operator(**more), "human.default": {"kind": "human"}})

    def wire_all(self, operators: Mapping[str, Any]) -> None:
        """Write operators.yaml."""
        self.project.write("workspaces/demo/operators.yaml", yaml.safe_dump({"operators": dict(operators)}))

    def operator(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any value of YAML
        """Give the operator of the cluster, with further keys of the backend."""
        times = {"poll_every": 0.2, "grace": 1.0}
        backend = {"type": "slurm", "workspace_root": str(self.root), **times, **self.backend, **more}
        return {"kind": "hpc", "backend": backend}

    def recipe(self, *steps: Mapping[str, Any]) -> None:
        """Write the recipe; a step is routed to the cluster unless it says otherwise."""
        routed = [{"type": "shell", "operator_key": "hpc.default", **step} for step in steps]
        self.project.write("workspaces/demo/recipe.yaml", yaml.safe_dump({"steps": routed}))

    def call(self, *words: str) -> Ended:
        """Run the program."""
        return self.project.call(*words, env=self.env)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the program; `tests.acceptance.program.finish` waits for its end."""
        return self.project.start(*words, env=self.env)

    def run(self) -> Ended:
        """Run the recipe to its end."""
        return self.call("run", "demo")

    def attempts(self, task: str) -> list[dict[str, str]]:
        """Give the attempts at a task of the last run."""
        return self.call("attempts", "@last", task).table

    def is_in(self, task: str, state: str) -> bool:
        """Tell whether the last attempt at a task is in a state."""
        ended = self.call("attempts", "@last", task)
        return ended.status == 0 and bool(ended.table) and ended.table[-1]["status"] == state

    def submit(self, *options: str, wrap: str) -> str:
        """Submit a job by hand, in the wiring's folder, and give its id."""
        ended = self.slurm("sbatch", "--parsable", *options, f"--wrap={wrap}", folder=self.root)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def warn(self, job_id: str) -> None:
        """Have a job told that its time will soon be over, by the signal USR1, which would come later by itself."""
        ended = self.slurm("scancel", "--batch", "--signal=USR1", job_id)
        assert ended.returncode == 0, ended.stderr

    def calls(self, program: str) -> list[str]:
        """Give the arguments of each call of one of Slurm's programs so far."""
        return (self.shims / f"{program}.calls").read_text(encoding="utf-8").splitlines()

    def says(self, program: str, script: str = _PASSES) -> None:
        """Have a shell script answer in the place of one of Slurm's programs, which it finds as ``$real``."""
        calls = self.shims / f"{program}.calls"
        calls.touch()
        calls.chmod(0o666)
        draft = self.shims / f".{program}"
        draft.write_text(_SHIM.format(real=self.programs / program, calls=calls, says=script), encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(self.shims / program)

    def holds(self, program: str, *, is_done: bool) -> None:
        """Have one of Slurm's programs wait until `let_go`: before it begins, or with its answer."""
        self.says(program, _LATE if is_done else f"{_WAITS}; {_PASSES}")

    def let_go(self, program: str) -> None:
        """Let those go on that wait, and all that come."""
        (self.shims / f"{program}.go").touch()


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeProject(SlurmProject):
    """A project with a cluster of its own that is not there."""

    cluster: FakeSlurm

    @property
    def env(self) -> dict[str, str]:
        """Give the environment of the program, which finds the cluster's programs."""
        return {**os.environ, "PATH": f"{self.shims}:{os.environ['PATH']}", **IMPATIENT}

    @property
    def programs(self) -> Path:
        """Give the folder of Slurm's own programs."""
        return self.cluster.bin

    def jobs(self) -> list[Job]:
        """Give all jobs that there ever were."""
        found = self.cluster.jobs()
        return [Job(job_id=job["job_id"], name=job["name"], state=job["state"]) for job in found]

    def slurm(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's programs."""
        words = [str(self.programs / command[0]), *command[1:]]
        return subprocess.run(words, cwd=folder, env=self.env, capture_output=True, text=True, check=False)

    def controller(self, state: str) -> None:
        """Let the controller be ``up``, ``hung``, or ``down``."""
        self.cluster.set(controller=state)

    def accounting(self, state: str) -> None:
        """Let the accounting be ``on`` or ``down``."""
        self.cluster.set(accounting=state)

    def end(self, job_id: str, state: str) -> None:
        """Have a job end in a state."""
        self.cluster.end(job_id, state)

    def limit(self, jobs: int | None) -> None:
        """Let the user have so many jobs that wait or run, or any number."""
        self.cluster.set(max_submit=jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealProject(SlurmProject):
    """A project with a real cluster behind an SSH server; ``proxy`` lies between."""

    centre: Centre
    site: str
    proxy: FaultProxy

    @property
    def env(self) -> dict[str, str]:
        """Give the environment of the program."""
        return {**os.environ, **IMPATIENT}

    @property
    def programs(self) -> Path:
        """Give the folder of Slurm's own programs."""
        return Path("/usr/bin")

    def jobs(self) -> list[Job]:
        """Give all jobs of the project: those that wait or run, and those that have ended."""
        listed = self.asked("squeue", "-h", "-r", "-o", "%i|%T|%j|%Z")
        rows = [line.split("|", 3) for line in listed.splitlines()]
        found = [Job(job_id=row[0], name=row[2], state=row[1]) for row in rows if self._is_here(row[3])]
        ended = (self.centre.folder / self.site / "jobcomp.txt").read_text(encoding="utf-8")
        told = (match for line in ended.splitlines() if (match := _COMPLETED.match(line)))
        done = [Job(job_id=one["id"], name=one["name"], state=one["state"]) for one in told if self._is_here(one[4])]
        return sorted([*found, *done], key=lambda job: int(job.job_id.partition("_")[0]))

    def slurm(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's programs as the user."""
        user = self.centre.user(self.site)
        login = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "env")
        where = () if folder is None else (f"--chdir={folder}",)
        return self.centre.slurm(*login, *where, *command, site=self.site)

    def controller(self, state: str) -> None:
        """Let the controller be ``up``, ``hung``, or ``down``."""
        name = f"{self.site}.slurmctld"
        if state == "down":
            self.centre.stop(name)
        elif state == "hung":
            os.kill(self.centre.pid(name), signal.SIGSTOP)
        elif not _goes_on(self.centre, name):
            self.centre.start()

    def accounting(self, state: str) -> None:
        """Let the accounting be ``on`` or ``down``."""
        if state == "down":
            self.centre.stop("slurmdbd")
        else:
            self.centre.start()

    def end(self, job_id: str, state: str) -> None:
        """Have a job end in a state; a TIMEOUT is seen by Slurm within half a minute."""
        job, node = f"JobId={job_id}", self.asked("squeue", "-h", "-j", job_id, "-o", "%N").strip()
        commands: dict[str, list[tuple[str, ...]]] = {
            "TIMEOUT": [("scontrol", "update", job, "EndTime=now+3")],
            "CANCELLED": [("scancel", job_id)],
            "NODE_FAIL": [("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")],
            "BOOT_FAIL": [(sys.executable, "-c", _BOOT_FAILED, job_id)],
            "PREEMPTED": [("srun", "--partition=urgent", "--exclusive", f"--nodelist={node}", "true")],
            "DEADLINE": [("scontrol", "update", job, "Deadline=now+1"), ("scontrol", "release", job_id)],
        }
        for command in commands[state]:
            self.asked(*command)

    def limit(self, jobs: int | None) -> None:
        """Let the user have so many jobs that wait or run, or any number."""
        most = f"MaxSubmitJobs={-1 if jobs is None else jobs}"
        self.asked("sacctmgr", "-i", "modify", "user", self.centre.user(self.site), "set", most)

    def asked(self, *command: str) -> str:
        """Run one of Slurm's programs as root, and give what it prints."""
        ended = self.centre.slurm(*command, site=self.site)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _is_here(self, folder: str) -> bool:
        return Path(folder).is_relative_to(self.root)


@contextmanager
def fake_project(folder: Path, **settings: Any) -> Iterator[FakeProject]:  # noqa: ANN401  of any type
    """Give a project, wired to a cluster whose jobs end with the block."""
    (folder / "project").mkdir(parents=True)
    with FakeSlurm(folder / "cluster", **settings) as cluster:
        made = FakeProject(
            project=Project(folder=folder / "project"),
            root=folder / "cluster/root",
            shims=folder / "cluster/shims",
            backend={},
            cluster=cluster,
        )
        _prepare(made)
        yield made


@contextmanager
def real_project(folder: Path, centre: Centre, site: str = "alpha") -> Iterator[RealProject]:
    """Give a project, wired to a cluster of the centre, and leave nothing of it there."""
    (folder / "project").mkdir(parents=True)
    home = centre.home(site)
    with FaultProxy(centre.port(site)) as proxy:
        config = centre.config(folder, **{site: proxy.port})
        made = RealProject(
            project=Project(folder=folder / "project"),
            root=home / f"root-{os.getpid()}-{time.time_ns()}",
            shims=home / "shims",
            backend={"ssh": {"host": site, "config_path": str(config)}},
            centre=centre,
            site=site,
            proxy=proxy,
        )
        startup = home / ".bashrc"
        try:
            _prepare(made)
            startup.write_text(f"export PATH={made.shims}:$PATH\n", encoding="utf-8")
            yield made
        finally:
            made.controller("up")
            if not _goes_on(centre, "slurmdbd"):
                centre.start()
            centre.slurm("scancel", f"--user={centre.user(site)}", site=site)
            startup.unlink(missing_ok=True)
            shutil.rmtree(made.shims, ignore_errors=True)
            shutil.rmtree(made.root, ignore_errors=True)


def _prepare(made: SlurmProject) -> None:
    made.shims.mkdir()
    made.shims.chmod(0o777)
    for program in PROGRAMS:
        made.says(program)
    made.project.write("matterstack.toml", "")
    made.wire()


def _goes_on(centre: Centre, name: str) -> bool:
    """Let a daemon that was stopped for a while go on; tell whether it has not ended."""
    try:
        os.kill(centre.pid(name), signal.SIGCONT)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
