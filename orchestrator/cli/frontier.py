"""Say what keeps a run from its end: what blocks, why, and what to do."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator.clock import utc_now
from orchestrator.errors import MatterStackError
from orchestrator.operators.human import answer
from orchestrator.operators.questions import question_in
from orchestrator.states import RunState, TaskState
from orchestrator.store.attempt_files import folders_of
from orchestrator.store.database import Database
from orchestrator.store.glances import NO_LIMIT, TaskLine, count_reasons, read_loud_lines
from orchestrator.store.leases import is_driven
from orchestrator.store.queries import has_recipe, lacks_campaign, read_attempt
from orchestrator.store.requests import open_requests
from orchestrator.wiring.keys import kind_of

# Of a run of MatterStack 0.2.x.
NO_CAMPAIGN = "its campaign is not asked for further tasks; begin another run with its campaign_state.json for those"

# So many of the tasks that may fail are named.
_NAMED = 4
_WAYS_ON = {
    RunState.COMPLETED: "nothing is left to do; read its values with: matterstack ctx get {}",
    RunState.FAILED: "mend the cause, then: matterstack retry {}",
    RunState.CANCELLED: "open it once more with: matterstack revive {}",
}


def asked(database: Database) -> Iterator[str]:
    """Say what was asked of the run and has not come about."""
    for request in open_requests(database):
        why = f" ({request.reason})" if request.reason else ""
        yield f"{request.by} has asked: {f'{request.wish} {request.attempt_id}'.rstrip()}{why}"


def findings(database: Database) -> Iterator[str]:
    """Give each failed task with its reason, what runs, and how many others wait for what.

    Of failures that the recipe allows, which nobody has to mend, the names of the first.
    """
    lines = read_loud_lines(database)
    as_allowed = failed_as_allowed(lines, database.run_root)
    for line in lines:
        if line.task_id not in as_allowed:
            yield f"{finding(line, database.run_root)}{_measured(database, line)}"
            yield from _disregarded(database, line)
    yield from allowances(as_allowed)
    yield from reasons(database)
    if lacks_campaign(database):
        yield NO_CAMPAIGN


def failed_as_allowed(lines: Iterable[TaskLine], run_root: Path) -> tuple[str, ...]:
    """Give those of some tasks that failed as the recipe allows."""
    failed = tuple(line.task_id for line in lines if line.status is TaskState.FAILED)
    return _allowed_among(failed, run_root) if failed else ()


@functools.lru_cache(maxsize=8)
def _allowed_among(failed: tuple[str, ...], run_root: Path) -> tuple[str, ...]:
    from orchestrator.allowed import allowed_to_fail  # noqa: PLC0415  slow, and most runs have no failure

    try:
        with contextlib.chdir(os.curdir):  # the recipe is planned in the directory of the run
            allowed = allowed_to_fail(run_root)
    except (MatterStackError, OSError):  # nobody can tell any more: so all are shown
        return ()
    return tuple(name for name in failed if name in allowed)


def allowances(as_allowed: Sequence[str]) -> Iterator[str]:
    """Count the tasks that failed as the recipe allows, and name the first; nothing where there are none."""
    if as_allowed:
        yield f"{_counted(len(as_allowed))} failed, as allow_failure allows: {_first(as_allowed)}"


def _first(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"


def _counted(count: int) -> str:
    return f"{count} task{'' if count == 1 else 's'}"


def finding(line: TaskLine, run_root: Path) -> str:
    """Say where one task stands that failed, runs, or is in other hands."""
    if line.status is TaskState.FAILED:
        return f"{line.task_id} failed: {line.status_reason}"
    if line.status is TaskState.RUNNING:
        why = f": {line.status_reason}" if line.status_reason else ""
        return f"{line.task_id} runs, attempt {line.attempt_count}{_where(line)}{why}"
    if note := removal(line, run_root):
        return f"{line.task_id} waits, but {note}"
    if asks_people(line):
        return f"{line.task_id} waits for an answer: matterstack respond {run_root.name} {shlex.quote(line.task_id)}"
    why = f": {line.status_reason}" if line.status_reason else ""
    return f"{line.task_id} waits for {line.operator_key}, attempt {line.attempt_count}{why}"


def _measured(database: Database, line: TaskLine) -> str:
    """Say how a measurement that a task waits for comes to its end."""
    key = line.operator_key or ""
    is_measured = line.status is TaskState.WAITING_EXTERNAL and kind_of(key) == "experiment"
    if not is_measured or line.status_reason or removal(line, database.run_root):
        return ""
    from orchestrator.operators.instruments.waiting import waits_for  # noqa: PLC0415  slow, as is the wiring
    from orchestrator.operators.registry import wiring_of  # noqa: PLC0415

    return f": it {waits_for(wiring_of(database).operators.get(key))}"


def _disregarded(database: Database, line: TaskLine) -> Iterator[str]:
    """Say why what was answered does not count, or does not suffice yet."""
    if asks_people(line) and not removal(line, database.run_root):
        question = question_in(database, read_attempt(database, line.position, line.attempt_count))
        if why := answer(question, utc_now()).waits_for:
            yield f"{line.task_id} is not answered yet: {why}"


def removal(line: TaskLine, run_root: Path) -> str:
    """Say what to do where the directory is gone in which a task waits for people or an instrument."""
    folders = folders_of(line.relative_path, line.task_id) if line.relative_path else ()
    is_there = not line.relative_path or any((run_root / folder).is_dir() for folder in folders)
    if is_there or line.status is not TaskState.WAITING_EXTERNAL:
        return ""
    return f"its directory was removed; put it back with: matterstack resume {run_root.name}"


def _where(line: TaskLine) -> str:
    """Say which operator has a task, where that is not this machine."""
    return f", on {line.operator_key}" if line.operator_key and kind_of(line.operator_key) != "local" else ""


def reasons(database: Database, *, limit: int = NO_LIMIT) -> Iterator[str]:
    """Say how many tasks have not run for each of the first reasons."""
    for reason, count in count_reasons(database, limit=limit):
        yield f"{_counted(count)}: {reason or 'waits for its turn'}"


def asks_people(line: TaskLine) -> bool:
    """Tell whether a task waits for people to answer."""
    return line.status is TaskState.WAITING_EXTERNAL and kind_of(line.operator_key or "human.default") == "human"


def way_on(status: RunState, database: Database) -> str:
    """Say what to do with a run that nobody drives."""
    run_id = database.run_root.name
    if not has_recipe(database) and status is RunState.COMPLETED:
        return f"nothing is left to do; read what its tasks printed with: matterstack logs {run_id}"
    return _WAYS_ON.get(status, "go on with: matterstack resume {}").format(run_id)


def todo(status: RunState, database: Database) -> str:
    """Say what to do with a run."""
    if is_driven(database.run_root):
        return f"it is being driven; watch it with: matterstack monitor {database.run_root.name}"
    return way_on(status, database)
