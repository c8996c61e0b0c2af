"""See what a run left on the disk, and find what is wrong with it, lost from it or done twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.files import TEMPORARY
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import FILE_NAME, Database, open_database
from orchestrator.store.events import chain_fault, iterate_events
from orchestrator.store.leases import is_let_go
from orchestrator.store.queries import read_attempts, read_run, read_tasks
from orchestrator.store.wirings import read_kept, wiring_events
from orchestrator.wiring.snapshot import FOLDER, snapshot_files
from tests.acceptance.program import Project

_WANTED = {
    "first": TaskState.COMPLETED,
    "outside": TaskState.COMPLETED,
    "flaky": TaskState.COMPLETED,
    "kept": TaskState.COMPLETED,
    "asked": TaskState.COMPLETED,
    "never": TaskState.SKIPPED,
    "each": TaskState.COMPLETED,
    "last": TaskState.COMPLETED,
    "off": TaskState.COMPLETED,
    "each[a]": TaskState.COMPLETED,
    "each[b]": TaskState.COMPLETED,
}
# The one whose result was kept by a run before: it has no effect of its own.
_TAKEN_OVER = "kept"
# The one that asks people: it is the same attempt, whoever drives the run.
_ASKED = "asked"
_TOLD_OK = re.compile(r"^ ok +\d+ (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the state file of a run says; attempts by task and index, the context as JSON texts."""

    run_id: str
    status: RunState
    tasks: dict[str, TaskState]
    attempts: dict[tuple[str, int], AttemptState]
    events: tuple[str, ...]
    context: dict[str, str]
    damage: str
    let_go: bool
    snapshot: Mapping[str, bytes]

    def attempts_at(self, task_id: str) -> list[AttemptState]:
        """Give how the attempts at a task stand, oldest first."""
        return [status for (task, _), status in sorted(self.attempts.items()) if task == task_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """The newest run's records, when there is a run; the effects by run and step; which steps were told to be ok."""

    records: Records | None
    runs: int
    effects: dict[tuple[str, str], list[str]]
    told: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Tell whether the newest run came to its end."""
        return self.records is not None and self.records.status in ENDED_RUNS

    @property
    def told_its_end(self) -> bool:
        """Tell whether the newest run ended and its runner printed so; the same command then begins another."""
        return self.ended and self.records is not None and self.records.let_go


def see(project: Project, stderr: str) -> Remains:
    """Look at a project after its runner ended or died; the state file is read from a copy, so that nothing mends."""
    folders = project.run_folders()
    return Remains(
        records=_records(project) if folders else None,
        runs=len(folders),
        effects=_effects(project),
        told=tuple(_TOLD_OK.findall(stderr)),
    )


def run_faults(project: Project, seen: Remains, *, has_cache: bool = True) -> Iterator[str]:
    """Give what is wrong with a run that has come to its end, whatever happened before.

    Without a cache that can be read, the step whose result is kept may run again.
    """
    records = seen.records
    if records is None:
        yield "there is no run"
        return
    if records.damage:
        yield f"damaged: {records.damage}"
    if records.status is not RunState.COMPLETED or records.tasks != _WANTED:
        yield f"the run is {records.status} with {records.tasks}"
    snapshot = project.run_folders()[-1] / FOLDER
    if {path.name: path.read_bytes() for path in snapshot.glob("*")} != records.snapshot:
        yield "the wiring that was kept is not what the records say"
    written = json.loads((project.run_folders()[-1] / "context.json").read_text(encoding="utf-8"))
    if written != {key: json.loads(text) for key, text in records.context.items()}:
        yield f"context.json differs from the context: {written}"
    if leftovers := [path.name for path in project.folder.rglob(f"{TEMPORARY}*")]:
        yield f"temporary files are left: {leftovers}"
    if has_cache and (project.folder / "made.txt").read_text(encoding="utf-8") != "made\n":
        yield "the step whose result is kept ran again"
    yield from _miscounted(records, seen.effects)


def loss_faults(before: Remains, after: Remains) -> Iterator[str]:
    """Give what was lost of the remains of a killed run, or done again, by the time it came to its end."""
    old, new = before.records, after.records
    wanted = before.runs + (old is None or before.told_its_end)
    if old and new and not before.told_its_end:
        yield from _forgotten(old, new, before.told)
        yield from _done_again(old, new, before, after)
    if after.runs != wanted:
        yield f"there are {after.runs} runs, not {wanted}"


def _records(project: Project) -> Records:
    copy = project.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in project.run_folders()[-1].glob(f"{FILE_NAME}*"):
        shutil.copy(path, copy)
    database = open_database(copy / FILE_NAME)
    try:
        return _read(database)
    finally:
        database.close()


def _read(database: Database) -> Records:
    run, tasks, kept = read_run(database), read_tasks(database), read_kept(database)
    attempts = [attempt for task in tasks for attempt in read_attempts(database, task.task_id)]
    integrity = database.all("PRAGMA integrity_check")
    return Records(
        run_id=run.run_id,
        status=run.status,
        tasks={task.task_id: task.status for task in tasks},
        attempts={(attempt.task_id, attempt.attempt_index): attempt.status for attempt in attempts},
        events=tuple(event.hash for event in iterate_events(database)),
        context={change.key: change.text or "" for change in read_context(database)},
        let_go=is_let_go(database),
        snapshot=snapshot_files(kept, run.workspace_slug, wiring_events(database)) if kept else {},
        damage=chain_fault(database) or ("" if integrity == [("ok",)] else str(integrity)),
    )


def _effects(project: Project) -> dict[tuple[str, str], list[str]]:
    path = project.folder / "effects.txt"
    found: dict[tuple[str, str], list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        run, step, token = line.split()
        found.setdefault((run, step), []).append(token)
    return found


def _miscounted(records: Records, effects: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    """Compare effects with attempts: one that came to its own end had one effect, any other had one at most."""
    for task_id in records.tasks.keys() - {_TAKEN_OVER, _ASKED}:
        tokens, attempts = effects.get((records.run_id, task_id), []), records.attempts_at(task_id)
        ended = sum(status not in (AttemptState.LOST, AttemptState.CANCELLED) for status in attempts)
        if not ended <= len(tokens) <= len(attempts):
            yield f"{task_id} had {len(tokens)} effects in {len(attempts)} attempts"
        kept = _kept(records.context, task_id)
        if attempts and tokens.count(kept) != 1:
            yield f"{task_id} kept {kept}, which is not one of its effects"


def _kept(context: dict[str, str], task_id: str) -> str:
    """Give the token that a task wrote; those of a fan-out are collected under the name of their step."""
    step, _, item = task_id.rstrip("]").partition("[")
    kept = json.loads(context.get(f"notes.{step}_v1", "null"))
    return kept.get(item, "") if item and kept else str(kept)


def _forgotten(old: Records, new: Records, told: tuple[str, ...]) -> Iterator[str]:
    """Give what the continuation does not remember, or what was told before it was recorded."""
    if new.run_id != old.run_id:
        yield f"run {old.run_id} was not continued"
    if new.events[: len(old.events)] != old.events:
        yield "events were lost"
    yield from (f"{name} was told to be ok and is {old.tasks[name]}" for name in told if not _ended(old, name))
    for (task_id, index), status in old.attempts.items():
        if task_id == _ASKED:
            if new.attempts_at(_ASKED) != [AttemptState.COMPLETED]:
                yield f"{_ASKED} was asked again: {new.attempts_at(_ASKED)}"
            continue
        wanted = AttemptState.LOST if status is AttemptState.RUNNING else status
        if new.attempts.get((task_id, index)) is not wanted:
            yield f"attempt {index} at {task_id} was {status} and is {new.attempts.get((task_id, index))}"
        if wanted is AttemptState.LOST and (task_id, index + 1) not in new.attempts:
            yield f"attempt {index} at {task_id} was lost and not followed by another"


def _done_again(old: Records, new: Records, before: Remains, after: Remains) -> Iterator[str]:
    """Give the steps that had ended and were attempted again, or had their effect again."""
    for task_id in filter(lambda name: _ended(old, name), old.tasks):
        if new.attempts_at(task_id) != old.attempts_at(task_id):
            yield f"{task_id} was {old.tasks[task_id]} and was attempted again"
        place = (old.run_id, task_id)
        if after.effects.get(place) != before.effects.get(place):
            yield f"{task_id} was {old.tasks[task_id]} and had its effect again"


def _ended(records: Records, task_id: str) -> bool:
    return records.tasks[task_id] in ENDED_TASKS
