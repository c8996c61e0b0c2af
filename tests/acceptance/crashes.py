"""Kill the program at chosen system calls, let it go on, and find what it lost, did twice or left lying about."""

from __future__ import annotations

import json
import re
import shutil
import signal
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator.files import TEMPORARY
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, AttemptState, RunState, TaskState
from orchestrator.store.contexts import read_context
from orchestrator.store.database import FILE_NAME, Database, open_database
from orchestrator.store.events import chain_fault, iterate_events
from orchestrator.store.queries import read_attempts, read_run, read_tasks
from tests.acceptance.program import COMMAND, Ended, Project, outlive

# By what they do; strace is asked only for those that this machine's kernel has.
CALLS = {
    "open": ("openat", "open", "creat"),
    "write": ("write", "pwrite64", "writev"),
    "sync": ("fsync", "fdatasync"),
    "name": ("rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "ftruncate"),
    "process": ("clone", "clone3", "vfork"),
    "wait": ("epoll_wait", "epoll_pwait"),
}

RECIPE = """\
schema: matterstack/recipe/v1
steps:
  - name: first
    type: python
    module: ./note.py
    args: { run: "${{ run.id }}", step: first, key: notes.first_v1 }
  - name: outside
    type: shell
    script: note.sh
    env: { RUN: "${{ run.id }}", SEEN: "${{ ctx.notes.first_v1 }}" }
  - name: flaky
    type: python
    module: ./note.py
    args: { run: "${{ run.id }}", step: flaky, key: notes.flaky_v1, wanted: 2 }
    retry: { max: 1 }
  - name: never
    type: shell
    script: note.sh
    when: ctx.notes.first_v1 == 'never'
  - name: last
    type: python
    module: ./note.py
    args: { run: "${{ run.id }}", step: last, key: notes.last_v1, seen: "${{ ctx.notes.outside_v1 }}" }
"""

NOTE_PY = '''\
"""Leave a line in a file outside the run, and its token in the context."""

import uuid
from pathlib import Path

from orchestrator import BaseScriptlet


class Note(BaseScriptlet):
    """Fails while there are fewer lines of this step than wanted."""

    def work(self, ctx, params):
        token = uuid.uuid4().hex
        mine = f"{params['run']} {params['step']} "
        with Path("effects.txt").open("a") as file:
            file.write(f"{mine}{token}\\n")
        if Path("effects.txt").read_text().count(mine) < params.get("wanted", 1):
            raise ValueError("not yet")
        return {params["key"]: token}
'''

NOTE_SH = """\
#!/bin/sh
token=$(cat /proc/sys/kernel/random/uuid)
echo "$RUN outside $token" >> effects.txt
echo "{\\"status\\": \\"ok\\", \\"outputs\\": {\\"notes.outside_v1\\": \\"$token\\"}}"
"""

_MUTATING_OPEN = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")
_TRACED = re.compile(r"^(\w+)\(", re.MULTILINE)
_OK_LINE = re.compile(r"^ ok +\d+ (\w+)", re.MULTILINE)
_KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The n-th time that the runner makes a call."""

    call: str
    number: int

    @property
    def family(self) -> str:
        """Give what kind of call it is."""
        return next(name for name, calls in CALLS.items() if self.call in calls)

    def __str__(self) -> str:
        """Give the form ``fsync #3``."""
        return f"{self.call} #{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the state file of one run says; attempts by task and index."""

    run_id: str
    status: RunState
    tasks: dict[str, TaskState]
    attempts: dict[tuple[str, int], AttemptState]
    events: tuple[str, ...]
    context: dict[str, str]
    damage: str

    def count(self, task_id: str) -> int:
        """Count the attempts at a task."""
        return sum(task == task_id for task, _ in self.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What came of one kill: whether it hit, and everything that was wrong afterwards."""

    point: Point
    hit: bool
    faults: tuple[str, ...]


def prepare(folder: Path) -> Project:
    """Make a project with a recipe of Python and shell steps, a retry, a condition and effects outside the run."""
    folder.mkdir(parents=True)
    project = Project(folder=folder)
    project.write("matterstack.toml", "")
    project.write("recipe.yaml", RECIPE)
    project.write("note.py", NOTE_PY)
    project.write("note.sh", NOTE_SH)
    return project


def trace(project: Project) -> list[Point]:
    """Run the recipe to its end and give every call of the runner that changes something, in their order."""
    log = project.folder / "trace.txt"
    calls = ",".join(f"?{call}" for calls in CALLS.values() for call in calls)
    ended = project.call("run", "recipe.yaml", command=["strace", "-qq", "-o", str(log), "-e", calls, *COMMAND])
    assert ended.status == 0, ended.stderr
    return list(_points(log.read_text(encoding="utf-8", errors="replace")))


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """Choose some of the points at even distances."""
    step = max(1.0, len(points) / count)
    return [points[int(index * step)] for index in range(min(count, len(points)))]


def sweep(folder: Path, points: Iterable[Point], *, before: Point | None = None) -> list[Survival]:
    """Kill a run at each point in turn, in a project of its own, and look at what comes of it; two at a time.

    With ``before``, the run was killed there already, and its continuation is killed at each point.
    """
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda point: _survive(folder, point, before), points))


def _points(log: str) -> Iterator[Point]:
    seen: Counter[str] = Counter()
    for line in log.splitlines():
        match = _TRACED.match(line)
        if match is None:
            continue
        call = match[1]
        seen[call] += 1
        if call not in CALLS["open"] or _MUTATING_OPEN.search(line):
            yield Point(call, seen[call])


def _survive(folder: Path, point: Point, before: Point | None) -> Survival:
    project = prepare(folder / str(point).replace(" #", "-"))
    mark = uuid.uuid4().hex
    if before:
        kill(project, before, mark)
    killed = kill(project, point, mark)
    if killed.status == 0:
        return Survival(point=point, hit=False, faults=())
    if killed.status != _KILLED:
        return Survival(point=point, hit=True, faults=(f"ended with {killed.status}: {killed.stderr}",))
    faults = tuple(_judge(project, killed, mark))
    if not faults:
        shutil.rmtree(project.folder)
    return Survival(point=point, hit=True, faults=faults)


def kill(project: Project, point: Point, mark: str) -> Ended:
    """Run the recipe and kill the runner, and it alone, as it enters a call."""
    inject = ["-e", f"trace={point.call}", "-e", f"inject={point.call}:signal=KILL:when={point.number}"]
    strace = ["strace", "-qq", "-o", "/dev/null", *inject, *COMMAND]
    return project.call("run", "recipe.yaml", command=strace, env={"SWEEP": mark, "PYTHONDONTWRITEBYTECODE": "1"})


def _judge(project: Project, killed: Ended, mark: str) -> Iterator[str]:
    """Look at what a kill left, run the recipe again, and give everything that is wrong."""
    if left := outlive(mark):
        yield f"processes outlived the runner: {left}"
    before, effects_before = _newest(project), effects(project)
    resumed = project.call("run", "recipe.yaml", env={"SWEEP": mark})
    if resumed.status != 0 or resumed.answer["status"] != "ok":
        yield f"the next run ended with {resumed.status}: {resumed.stderr}"
        return
    after = _newest(project)
    assert after is not None
    yield from _fresh_faults(project, after)
    if before and before.status not in ENDED_RUNS:
        yield from _resumed_faults(before, after, killed)
        yield from _repeated(before, effects_before, effects(project))
    elif len(project.run_folders()) != 1 + bool(before):
        yield f"{len(project.run_folders())} runs"
    if outlive(mark):
        yield "processes outlived the run"


def _newest(project: Project) -> Records | None:
    """Read the newest run from a copy, so that looking mends nothing."""
    folders = project.run_folders()
    if not folders:
        return None
    copy = project.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in folders[-1].glob(f"{FILE_NAME}*"):
        shutil.copy(path, copy)
    database = open_database(copy / FILE_NAME)
    try:
        return _read(database)
    finally:
        database.close()


def _read(database: Database) -> Records:
    run, tasks = read_run(database), read_tasks(database)
    attempts = [attempt for task in tasks for attempt in read_attempts(database, task.task_id)]
    integrity = database.all("PRAGMA integrity_check")
    return Records(
        run_id=run.run_id,
        status=run.status,
        tasks={task.task_id: task.status for task in tasks},
        attempts={(attempt.task_id, attempt.attempt_index): attempt.status for attempt in attempts},
        events=tuple(event.hash for event in iterate_events(database)),
        context={change.key: change.text or "" for change in read_context(database)},
        damage=chain_fault(database) or ("" if integrity == [("ok",)] else str(integrity)),
    )


def effects(project: Project) -> list[list[str]]:
    """Give the run, the step and the token of every effect outside the runs."""
    path = project.folder / "effects.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _fresh_faults(project: Project, after: Records) -> Iterator[str]:
    """Give what is wrong with a run that has come to its end, whatever happened before."""
    if after.damage:
        yield f"damaged: {after.damage}"
    wanted = {"first": "COMPLETED", "outside": "COMPLETED", "flaky": "COMPLETED", "never": "SKIPPED", "last": "COMPLETED"}
    if after.status is not RunState.COMPLETED or after.tasks != wanted:
        yield f"the run is {after.status} with {after.tasks}"
    copy = json.loads((project.run_folders()[-1] / "context.json").read_text())
    if {key: json.dumps(value) for key, value in copy.items()} != after.context:
        yield f"context.json differs from the context: {copy}"
    if leftovers := [str(path) for path in project.folder.rglob(f"{TEMPORARY}*")]:
        yield f"temporary files are left: {leftovers}"
    yield from _miscounted(after, effects(project))


def _miscounted(after: Records, found: list[list[str]]) -> Iterator[str]:
    """Compare the effects with the attempts: each that ended had one, one that was lost had at most one."""
    tokens = [token for _, _, token in found]
    for key, text in after.context.items():
        if tokens.count(json.loads(text)) != 1:
            yield f"{key} has no effect of its own"
    for task_id in after.tasks:
        indices = [status for (task, _), status in after.attempts.items() if task == task_id]
        done = sum(run == after.run_id and step == task_id for run, step, _ in found)
        ended = sum(status is not AttemptState.LOST for status in indices)
        if not ended <= done <= len(indices):
            yield f"{task_id} had {done} effects in {indices}"


def _resumed_faults(before: Records, after: Records, killed: Ended) -> Iterator[str]:
    """Give what the continuation of a run lost of, or did again to, what stood before."""
    if after.run_id != before.run_id:
        yield f"run {before.run_id} was not continued"
        return
    if after.events[: len(before.events)] != before.events:
        yield "events were lost"
    said = [name for name in _OK_LINE.findall(killed.stderr) if before.tasks[name] is not TaskState.COMPLETED]
    if said:
        yield f"told of {said} before they were recorded"
    for task_id, status in before.tasks.items():
        if status in ENDED_TASKS and after.count(task_id) != before.count(task_id):
            yield f"{task_id} was {status} and ran again"
    for (task_id, index), status in before.attempts.items():
        lost = status is AttemptState.RUNNING
        if after.attempts[task_id, index] is not (AttemptState.LOST if lost else status):
            yield f"attempt {index} at {task_id} was {status} and is {after.attempts[task_id, index]}"
        if lost and (task_id, index + 1) not in after.attempts:
            yield f"{task_id} was running and was not attempted again"


def _repeated(before: Records, earlier: list[list[str]], later: list[list[str]]) -> Iterator[str]:
    """Give the steps that had ended and whose effect was made again."""
    for task_id, status in before.tasks.items():
        if status in ENDED_TASKS and _of(task_id, earlier) != _of(task_id, later):
            yield f"{task_id} was {status} and had its effect again"


def _of(task_id: str, found: list[list[str]]) -> list[str]:
    return [token for _, step, token in found if step == task_id]
