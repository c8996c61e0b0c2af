"""Bring home what attempts left on the cluster: whole, compared by digest, and only then removed there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from orchestrator.errors import InfrastructureError
from orchestrator.files import make_directory, move_synced, replace_file
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import EXIT_CODE, STDERR, STDOUT
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.gathering import MAX_BYTES, MAX_FILES, MAX_REJECTED, Choice
from orchestrator.operators.payload import choice_of
from orchestrator.operators.slurm.holding import Held
from orchestrator.operators.slurm.leavings import KEPT, NOTHING, Left, keeping, read_told, removal, sweeping
from orchestrator.operators.slurm.ledger import FOLDER, Job
from orchestrator.operators.slurm.parcels import Places
from orchestrator.operators.slurm.sites import LEAST_BYTES_PER_SEC, Site
from orchestrator.operators.staging import CHANGES
from orchestrator.wiring.model import Keep

# What is always brought home, beside the results.
_OWN = frozenset({STDOUT, STDERR, EXIT_CODE, CHANGES})
_LANDING = ".landing"
_REMOVE_SEC = 300.0
# A shipment travels at once, so that the time limit for it is known.
_MOST_BYTES_AT_ONCE = 256 * 1024 * 1024
_MOST_FILES_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """The files of one attempt that are to come home, by their names below its directory, with their sizes.

    ``job`` is the one that it began with; ``left`` is all that it left, and ``rejected`` tells of results
    that stay, and why.
    """

    assignment: Assignment
    job: Job | None
    is_failed: bool
    left: Left = NOTHING
    sizes: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[Mapping[str, JsonValue], ...] = ()

    @property
    def size(self) -> int:
        """Give the bytes of all of them."""
        return sum(self.sizes.values())


class Fetcher:
    """Brings files from one site, and keeps order there as the wiring asks."""

    def __init__(self, site: Site, keep: Keep) -> None:
        self._site = site
        self._keep = keep
        self._is_swept = False

    def fetch(self, shipments: Sequence[Shipment], places: Places) -> Iterator[Shipment]:
        """Bring files home; give each shipment whose files lie in the attempt's directory now, all of them durable.

        One of which a file changed on the way is left out, and may come with the next call. Raises `AwayError`.
        """
        yield from (one for one in shipments if is_home(one.assignment))
        for load in _loads(one for one in shipments if not is_home(one.assignment)):
            yield from self._bring(load, places)

    def tidy(self, shipments: Sequence[Shipment], places: Places) -> None:
        """Remove on the cluster what need not stay there. Raises `AwayError`."""
        stays: dict[bool, list[str]] = {True: [], False: []}
        for shipment in shipments:
            is_kept = self._keep.files == "all" or (self._keep.files == "failed" and shipment.is_failed)
            stays[is_kept].append(_below(shipment, places))
        jobs = {_folder_of(one.job, one.assignment, places) for one in shipments if one.job}
        script = removal(places.root, stays[False], sorted(jobs)) if stays[False] else ""
        script += keeping(places.root, stays[True]) if stays[True] else ""
        if self._keep.files == "failed":
            script += "" if self._is_swept else sweeping(places.root, self._keep.days)
        if script:
            self._site.ask(script, deadline_sec=_REMOVE_SEC)
            self._is_swept = True

    def remove_job(self, job: Job, first: Assignment, places: Places) -> None:
        """Remove the folder of an array that Slurm never took. Raises `AwayError`."""
        self._site.ask(removal(places.root, [_folder_of(job, first, places)], []))

    def _bring(self, load: Sequence[Shipment], places: Places) -> Iterator[Shipment]:
        first = load[0].assignment
        landing = first.run_root / FOLDER / _LANDING / first.operator_key  # other keys bring theirs home meanwhile
        shutil.rmtree(landing, ignore_errors=True)
        make_directory(landing)
        names = [f"{_below(one, places)}/{name}" for one in load for name in one.sizes]
        deadline_sec = 60.0 + sum(one.size for one in load) / LEAST_BYTES_PER_SEC
        came = self._site.bring(places.root, names, landing, deadline_sec=deadline_sec) if names else {}
        for shipment in load:
            if all(f"{_below(shipment, places)}/{name}" in came for name in shipment.sizes):
                _put_in_place(shipment, landing / _below(shipment, places))
                yield shipment
        shutil.rmtree(landing, ignore_errors=True)


def is_home(assignment: Assignment) -> bool:
    """Tell whether the files of an attempt were brought home."""
    return (assignment.folder / KEPT).exists()


def left_at_home(assignment: Assignment) -> Left | None:
    """Give what an attempt left whose files were brought home, and maybe removed there; None for any other."""
    return read_told((assignment.folder / KEPT).read_bytes()) if is_home(assignment) else None


def shipment_of(held: Held, left: Left, *, is_failed: bool) -> Shipment:
    """Choose what is brought home of what an attempt left, within the caps for one attempt."""
    assignment = held.assignment
    choice = choice_of(assignment)
    chosen: dict[str, int] = {}
    reasons = {name: reason for name, reason in left.others.items() if _is_wanted(name, choice)}
    total = 0
    for name, size in sorted(left.files.items()):
        if not _is_wanted(name, choice):
            continue
        if len(chosen) >= MAX_FILES or total + size > MAX_BYTES:
            reasons[name] = f"there are more than {MAX_FILES} files or {MAX_BYTES} bytes"
            continue
        chosen[name] = size
        total += size
    rejected = tuple(_rejection(*one) for one in sorted(reasons.items())[:MAX_REJECTED])
    return Shipment(
        assignment=assignment, job=held.first_job, is_failed=is_failed, left=left, sizes=chosen, rejected=rejected
    )


def _rejection(name: str, reason: str) -> dict[str, JsonValue]:
    return {"path": name.encode("utf-8", "replace").decode(), "reason": reason}


def _is_wanted(name: str, choice: Choice) -> bool:
    if name in _OWN:
        return True
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        return False
    return not choice.is_apart(path.parts[0]) and not choice.is_apart(name) and choice.takes(name)


def _loads(shipments: Iterable[Shipment]) -> Iterator[list[Shipment]]:
    """Give shipments in loads that travel at once; all of one load belong to one run."""
    load: list[Shipment] = []
    size = count = 0
    for shipment in shipments:
        size, count = size + shipment.size, count + len(shipment.sizes)
        if load and (size > _MOST_BYTES_AT_ONCE or count > _MOST_FILES_AT_ONCE):
            yield load
            load, size, count = [], shipment.size, len(shipment.sizes)
        load.append(shipment)
    if load:
        yield load


def _below(shipment: Shipment, places: Places) -> str:
    return places.attempt(shipment.assignment).removeprefix(f"{places.root}/")


def _folder_of(job: Job, assignment: Assignment, places: Places) -> str:
    return places.job(job, assignment).removeprefix(f"{places.root}/")


def _put_in_place(shipment: Shipment, landed: Path) -> None:
    folder = shipment.assignment.folder
    if not folder.is_dir() or folder.is_symlink():
        raise InfrastructureError(f"the directory of the attempt is gone: {folder}", hint="put it back, then run again")
    for parent in {(folder / name).parent for name in shipment.sizes}:
        make_directory(parent)
    # What has landed is synced already.
    move_synced({landed / name: folder / name for name in shipment.sizes})
    replace_file(folder / KEPT, shipment.left.told())
