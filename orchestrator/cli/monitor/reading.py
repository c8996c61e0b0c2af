"""Read what the view shows, and only once something has changed."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from orchestrator.cli.frontier import (
    allowances,
    asked,
    asks_people,
    failed_as_allowed,
    finding,
    reasons,
    removal,
    way_on,
)
from orchestrator.clock import monotonic
from orchestrator.errors import MatterStackError, StoreError
from orchestrator.operators.asking import Question
from orchestrator.operators.human import given
from orchestrator.operators.questions import question_in
from orchestrator.paths import iterate_runs
from orchestrator.states import ENDED_RUNS, AttemptState, RunState, TaskState
from orchestrator.store.attempt_files import with_files
from orchestrator.store.database import FILE_NAME, Database, reading
from orchestrator.store.glances import (
    Order,
    TaskLine,
    count_by_operator,
    read_lines,
    read_loud_lines,
    read_positions,
)
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import AttemptRow, RunRow, count_items, count_tasks, read_attempt, read_run
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.kept import KeptWiring
from orchestrator.wiring.reading import Wired, built_in
from orchestrator.wiring.resolution import resolved_from

FINDINGS = 8
LOG_LINES = 2000

# A file may be written twice within one tick of the clock that its time is taken from.
_TICK_NS = 100_000_000
_LIST_EVERY_SEC = 3.0
_READ_SEC = 0.2

Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of a run is looked at: so many tasks from the ``first`` on, and one task, which is among them.

    ``position`` is that of the task; with None it is whichever is at ``index``.
    """

    order: Order = Order.LOUD_FIRST
    with_items: bool = False
    position: int | None = None
    index: int = 0
    first: int = 0
    height: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorLine:
    """One operator key of a run; ``max_concurrent`` is None where there is no limit, or nothing says what it means."""

    key: str
    kind: str
    running: int
    waiting: int
    max_concurrent: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGlance:
    """A run as one screen shows it; ``choice`` is what was looked at, with the task that was found."""

    root: Path
    run: RunRow
    driven: bool
    counts: Mapping[TaskState, int]
    choice: Choice
    positions: tuple[int, ...]
    rows: tuple[TaskLine, ...]
    items: Mapping[int, Mapping[TaskState, int]]
    operators: tuple[OperatorLine, ...]
    findings: tuple[str, ...]
    attempt: AttemptRow | None = None
    log: tuple[str, ...] = ()

    @property
    def selected(self) -> TaskLine | None:
        """Give the task that is chosen; None where there is no task."""
        return next((row for row in self.rows if row.position == self.choice.position), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run among all; without ``run`` it was not read yet, or cannot be, for the reason in ``fault``."""

    root: Path
    run: RunRow | None = None
    driven: bool = False
    counts: Mapping[TaskState, int] | None = None
    fault: str = ""

    @property
    def is_active(self) -> bool:
        """Tell whether it has not ended."""
        return self.run is not None and self.run.status not in ENDED_RUNS


class RunReader:
    """Reads one run again and again; what has not changed is given once more without a look at the state file."""

    def __init__(self, run_root: Path) -> None:
        self.run_root = run_root
        self._seen: tuple[Signature, Choice] | None = None
        self._glance: RunGlance | None = None

    def look(self, choice: Choice) -> RunGlance:
        """Give what there is to see; raise `StoreError` where the state file cannot be read."""
        seen, driven = (signature(self.run_root), choice), is_driven(self.run_root)
        if self._glance is None or seen != self._seen:
            with reading(self.run_root) as database, database.one_state():
                self._glance = _glance(database, choice)
            self._seen = seen
            self._glance = replace(self._glance, log=_log(self._glance.attempt, self.run_root))
        elif self._glance.attempt and self._glance.attempt.ended_at is None:
            self._glance = replace(self._glance, log=_log(self._glance.attempt, self.run_root))
        self._glance = replace(self._glance, driven=driven)
        return self._glance

    def forget(self) -> None:
        """Read all once more at the next look."""
        self._seen = None


class RunsReader:
    """Reads all runs of the workspaces; each only once it has changed, and so many at a time as a look may last."""

    def __init__(self, workspaces: Path, clock: Callable[[], float] = monotonic) -> None:
        self._workspaces = workspaces
        self._clock = clock
        self._roots: list[Path] = []
        self._listed_at: float | None = None
        self._seen: dict[Path, tuple[Signature, RunLine]] = {}
        self.is_whole = False

    def look(self) -> tuple[RunLine, ...]:
        """Give the runs, those that have not ended first, each newest first; ``is_whole`` tells if all were read."""
        until = self._clock() + _READ_SEC
        if self._listed_at is None or until - self._listed_at > _LIST_EVERY_SEC:
            self._roots, self._listed_at = list(iterate_runs(self._workspaces)), until
        self.is_whole = True
        lines = [self._line(root, may_read=self._clock() < until) for root in self._roots]
        return tuple(sorted(lines, key=lambda line: not line.is_active))

    def _line(self, root: Path, *, may_read: bool) -> RunLine:
        found = signature(root)
        seen = self._seen.get(root)
        if seen is not None and seen[0] == found:
            line = seen[1]
            return replace(line, driven=is_driven(root)) if line.is_active else line
        if not may_read:
            self.is_whole = False
            return seen[1] if seen else RunLine(root=root)
        line = _run_line(root)
        self._seen[root] = (found, line)
        return line


def read_question(run_root: Path, line: TaskLine) -> Question:
    """Give what people are asked in the latest attempt at a task."""
    with reading(run_root) as database:
        return question_in(database, read_attempt(database, line.position, line.attempt_count))


def signature(run_root: Path) -> Signature:
    """Give what is the same as long as nobody has written to the state file of a run, and differs afterwards."""
    marks: list[object] = []
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        try:
            found = os.stat(run_root / name)  # noqa: PTH116  many runs are looked at, often
        except OSError:
            marks.append(None)
            continue
        if not found.st_size:  # whoever reads makes an empty log
            marks.append(None)
            continue
        is_settled = time.time_ns() - found.st_mtime_ns > _TICK_NS
        marks.append((found.st_ino, found.st_size, found.st_mtime_ns) if is_settled else object())
    return tuple(marks)


def window(first: int, height: int, index: int, total: int) -> int:
    """Give the first of so many lines that shows the line at ``index``, as close to an earlier first as can be."""
    first = min(max(first, index - height + 1), index)
    return max(0, min(first, total - height))


def _run_line(root: Path) -> RunLine:
    try:
        with reading(root) as database:
            return RunLine(root=root, run=read_run(database), driven=is_driven(root), counts=count_tasks(database))
    except StoreError as error:
        return RunLine(root=root, fault=error.message)


def _glance(database: Database, wanted: Choice) -> RunGlance:
    run = read_run(database)
    positions = read_positions(database, order=wanted.order, with_items=wanted.with_items)
    choice = _found(wanted, positions)
    rows = read_lines(database, positions[choice.first : choice.first + choice.height])
    selected = next((row for row in rows if row.position == choice.position), None)
    has_attempt = selected is not None and selected.attempt_count > 0
    return RunGlance(
        root=database.run_root,
        run=run,
        driven=False,
        counts=count_tasks(database),
        choice=choice,
        positions=positions,
        rows=rows,
        items=count_items(database),
        operators=tuple(_operators(database)),
        findings=tuple(_findings(database, run.status)),
        attempt=read_attempt(database, selected.position, selected.attempt_count) if selected and has_attempt else None,
    )


def _found(wanted: Choice, positions: tuple[int, ...]) -> Choice:
    """Give the choice with the task that is meant, wherever it is by now, among the tasks that are shown."""
    total = len(positions)
    is_there = wanted.position in positions
    index = positions.index(wanted.position) if is_there else min(wanted.index, max(total - 1, 0))
    first = window(wanted.first, wanted.height, index, total)
    return replace(wanted, index=index, first=first, position=positions[index] if positions else None)


def _operators(database: Database) -> Iterator[OperatorLine]:
    """Give the operators, those at work first."""
    counts, wired = count_by_operator(database), _wired(database)
    for key in sorted({*counts, *wired}, key=lambda key: (key not in counts, key)):
        states = counts.get(key, {})
        running = states.get(AttemptState.RUNNING, 0)
        meant = wired.get(key)
        yield OperatorLine(
            key=key,
            kind=meant.backend.type if meant and meant.backend else key.partition(".")[0],
            running=running,
            waiting=sum(states.values()) - running,
            max_concurrent=meant.max_concurrent if meant else None,
        )


def _wired(database: Database) -> Mapping[str, Wired]:
    kept = read_kept(database)
    try:
        return _read_wired(kept.text, database.run_root) if kept else built_in().operators
    except MatterStackError:  # what the run has kept cannot be read any more; what is at work is shown all the same
        return {}


@functools.lru_cache(maxsize=8)
def _read_wired(text: str, run_root: Path) -> Mapping[str, Wired]:
    kept = KeptWiring(source="", resolved_path="", sha256="", text=text, provenance={})
    return resolved_from(kept, run_root).wiring.operators


def _findings(database: Database, status: RunState) -> Iterator[str]:
    """Give what keeps the run from its end: what was asked of it, what people or others have to do, and what failed."""
    yield from asked(database)
    for line in read_loud_lines(database, states=(TaskState.WAITING_EXTERNAL,), limit=FINDINGS):
        is_asked = asks_people(line) and not removal(line, database.run_root)
        yield _asked_of_people(database, line) if is_asked else finding(line, database.run_root)
    failed = read_loud_lines(database, states=(TaskState.FAILED,))
    as_allowed = failed_as_allowed(failed, database.run_root)
    counted = (line for line in failed if line.task_id not in as_allowed)
    yield from (finding(line, database.run_root) for line in islice(counted, FINDINGS))
    yield from allowances(as_allowed)
    yield from reasons(database, limit=FINDINGS)
    if not is_driven(database.run_root):
        yield f"= {way_on(status, database)}"


def _asked_of_people(database: Database, line: TaskLine) -> str:
    question = question_in(database, read_attempt(database, line.position, line.attempt_count))
    if given(question):
        return f"{line.task_id}: answered; the run takes it when it goes on"
    first = question.instructions.strip().split("\n")[0]
    return f"{line.task_id} asks: {first} (a approves, x rejects)"


def _log(attempt: AttemptRow | None, run_root: Path) -> tuple[str, ...]:
    """Give the last lines of what an attempt has printed, as far as it is kept by now."""
    if attempt is None:
        return ()
    found = with_files(attempt, run_root)
    lines = [*found.stdout.splitlines(), *found.stderr.splitlines()]
    return tuple(lines[-LOG_LINES:])
