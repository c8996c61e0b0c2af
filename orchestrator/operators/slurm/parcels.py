"""Pack what jobs need on the cluster: the attempts' files, what each runs, and the jobs' scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.layout import MANIFEST, SNAPSHOT
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.payload import CONTEXT_VARIABLE, given_params, scriptlet_argv
from orchestrator.operators.slurm.kit import kit
from orchestrator.operators.slurm.ledger import Job
from orchestrator.operators.slurm.names import FOLDERS, JOBS, PAYLOAD, SCRIPT, SECRETS
from orchestrator.operators.slurm.script import exports, folder_list, payload
from orchestrator.operators.staging import CONTEXT
from orchestrator.wiring.model import SlurmBackend
from orchestrator.workers.commands import PARAMS_VARIABLE

CORES_VARIABLE = "MATTERSTACK_CORES"

# What the runner keeps for itself, and no job reads.
_STAYS = frozenset({MANIFEST, SNAPSHOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things lie on the cluster, below the absolute ``root`` of the wiring."""

    root: str

    def run(self, assignment: Assignment) -> str:
        """Give the directory of a run."""
        return f"{self.root}/{assignment.run_root.name}"

    def attempt(self, assignment: Assignment) -> str:
        """Give the directory of an attempt."""
        return f"{self.run(assignment)}/{assignment.attempt_id}"

    def job(self, job: Job, assignment: Assignment) -> str:
        """Give the directory that a job is submitted from: an array has one of its own."""
        return f"{self.run(assignment)}/{JOBS}/{job.key}" if job.is_array else self.attempt(assignment)

    @property
    def kit(self) -> str:
        """Give the file of the kit."""
        return f"{self.root}/{kit().name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A job on its way: its script, and those of its attempts that are to be carried out."""

    job: Job
    script: str
    assignments: Sequence[Assignment]


def pack(parcels: Sequence[Parcel], places: Places, backend: SlurmBackend) -> dict[str, Path | bytes]:
    """Give files by their paths below the root of the wiring; a folder may be there already.

    Raises `ScriptletError` for what no program can get.
    """
    files: dict[str, Path | bytes] = {}
    for parcel in parcels:
        files.update((path, text.encode("utf-8", "surrogateescape")) for path, text in _texts(parcel, places, backend))
        # One that is continued finds its directory as it left it.
        for assignment in parcel.assignments if parcel.job.turn == 0 else ():
            files.update(_files(assignment, places.attempt(assignment)))
    return {path.removeprefix(f"{places.root}/"): source for path, source in files.items()}


def payload_of(assignment: Assignment, places: Places, backend: SlurmBackend) -> str:
    """Give what the job of an attempt runs; raises `ScriptletError`."""
    work = assignment.work
    if "class" in work:
        argv = scriptlet_argv(work, backend.python, places.kit)
    else:
        argv = [*work["argv"], *(["--params", given_params(assignment)] if work.get("takes_params") else [])]
    variables = {name: value for name, value in assignment.env.items() if name not in secret_names(assignment)}
    variables |= {PARAMS_VARIABLE: given_params(assignment), CONTEXT_VARIABLE: CONTEXT}
    if cores := work.get("resources", {}).get("cores"):
        variables[CORES_VARIABLE] = str(cores)
    return payload(argv, variables, backend.slurm.setup or "")


def _texts(parcel: Parcel, places: Places, backend: SlurmBackend) -> Iterator[tuple[str, str]]:
    first, job = parcel.assignments[0], parcel.job
    folder = places.job(job, first)
    yield f"{folder}/{SCRIPT}", parcel.script
    if job.is_array:
        yield f"{folder}/{FOLDERS}", folder_list([f"{places.run(first)}/{one}" for one in job.attempts])
    for assignment in parcel.assignments:
        attempt = places.attempt(assignment)
        yield f"{attempt}/{PAYLOAD}", payload_of(assignment, places, backend)
        if names := secret_names(assignment):
            secrets = {name: assignment.env[name] for name in names if name in assignment.env}
            yield f"{attempt}/{SECRETS}", exports(secrets)


def secret_names(assignment: Assignment) -> frozenset[str]:
    """Give the variables that are recorded without their values."""
    return frozenset(name for name, value in assignment.work.get("env", {}).items() if value is None)


def _files(assignment: Assignment, folder: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(assignment.folder.rglob("*")):
        name = path.relative_to(assignment.folder)
        if name.parts[0] not in _STAYS and path.is_file():
            yield f"{folder}/{name}", path
