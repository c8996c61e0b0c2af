"""Estimate how long tasks will take, from the last run of the workspace that came to its end and from this one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from pathlib import Path

from orchestrator.clock import seconds_between
from orchestrator.errors import MatterStackError
from orchestrator.paths import runs_of_workspace
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_metrics, read_run, read_spans

_MOST_RUNS = 20
_BELOW = re.compile(r"[\[/@]")


@dataclass(slots=True)
class _Sum:
    seconds: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.count += 1


@dataclass(slots=True)
class Pace:
    """What tasks took, in seconds of their own; ``share`` is the time on the clock that each of those came to."""

    share: float | None = None
    tasks: dict[str, float] = field(default_factory=dict)
    _earlier: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    _now: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))

    def took(self, task_id: str, duration_sec: float) -> None:
        """Learn from a task of this run."""
        for group in _groups(task_id):
            self._now[group].add(duration_sec)

    def took_before(self, task_id: str, duration_sec: float) -> None:
        """Learn from a task of an earlier run."""
        self.tasks[task_id] = duration_sec
        for group in _groups(task_id):
            self._earlier[group].add(duration_sec)

    def expected(self, task_id: str) -> float | None:
        """Give the seconds that a task will probably take; None where nothing like it was run.

        A task that was not run takes as long as its neighbours do in this run, or did in the earlier one; one that
        becomes several takes as long as those together.
        """
        if (known := self.tasks.get(task_id)) is not None:
            return known
        if task_id in self._earlier:
            return self._earlier[task_id].seconds
        return self.mean(group_of(task_id))

    def mean(self, group: str) -> float | None:
        """Give what a part of a group takes on average, in this run or else in the earlier one."""
        sums = self._now.get(group) or self._earlier.get(group)
        return sums.seconds / sums.count if sums else None


def group_of(task_id: str) -> str:
    """Give the task that a task is directly a part of, or "" for a step of the recipe."""
    return next(reversed([*_groups(task_id)]), "")


def _groups(task_id: str) -> Iterator[str]:
    """Give the tasks that a task is a part of: ``a`` and ``a/b`` for ``a/b[c]``."""
    return (task_id[: match.start()] for match in _BELOW.finditer(task_id))


def earlier_pace(run_root: Path) -> Pace:
    """Read the pace of the newest run beside this one that completed; an empty one where there is none."""
    older = dropwhile(lambda root: root.name != run_root.name, runs_of_workspace(run_root.parent.parent))
    for root in islice(older, 1, _MOST_RUNS):
        try:
            pace = _pace_of(root)
        except MatterStackError:
            continue  # what cannot be read tells nothing of how long steps take
        if pace:
            return pace
    return Pace()


def _pace_of(root: Path) -> Pace | None:
    with reading(root) as database:
        if read_run(database).status is not RunState.COMPLETED:
            return None
        metrics, spans = read_metrics(database), read_spans(database)
    pace = Pace()
    for task_id, used in metrics.items():
        pace.took_before(task_id, used["duration_sec"] or 0.0)
    work = sum(pace.tasks.values())
    pace.share = _covered(spans) / work if work else None
    return pace


def _covered(spans: Iterable[tuple[str, str]]) -> float:
    """Give the seconds in which at least one attempt was under way."""
    total, begin, end = 0.0, "", ""
    for start, stop in sorted(spans):
        if start > end:
            total += seconds_between(begin, end) if begin else 0.0
            begin, end = start, stop
        end = max(end, stop)
    return total + (seconds_between(begin, end) if begin else 0.0)
