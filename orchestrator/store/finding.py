"""Find a run by what a person types: its id, the beginning of one, its path, ``@last`` or ``@last-failed``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from orchestrator.errors import StoreError, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.paths import STATE_NAME, iterate_runs
from orchestrator.states import RunState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_run


def find_run(name: str, workspaces: Path) -> Path:
    """Give the directory of the run that a name stands for.

    ``@last`` is the newest run of all workspaces, ``@last-failed`` the newest whose status is FAILED.
    Raises `UsageError` (MS004) when there is none or more than one.
    """
    with contextlib.suppress(OSError, ValueError):  # no path at all, such as one that is too long
        if (Path(name) / STATE_NAME).is_file():
            return Path(name).absolute()
    runs = list(iterate_runs(workspaces))
    matching = list(_WORDS[name](runs)) if name in _WORDS else [run for run in runs if name and _begins(run, name)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise UsageError(f"no run {name!r} below {workspaces}", hint=_hint(name, runs), code="MS004")
    names = ", ".join(path.name for path in matching[:5])
    raise UsageError(f"run {name!r} is not unique: {names}", hint="give more of the id", code="MS004")


def failed_runs(runs: Iterable[Path]) -> Iterable[Path]:
    """Give those of some runs whose status is FAILED; one whose state file cannot be read is none of them."""
    return (run for run in runs if _has_failed(run))


_WORDS: Mapping[str, Callable[[Iterable[Path]], Iterable[Path]]] = {
    "@last": lambda runs: islice(runs, 1),
    "@last-failed": lambda runs: islice(failed_runs(runs), 1),
}


def _begins(run: Path, name: str) -> bool:
    return run.name.startswith(name)


def _has_failed(run: Path) -> bool:
    try:
        with reading(run) as database:
            return read_run(database).status is RunState.FAILED
    except StoreError:
        return False


def _hint(name: str, runs: list[Path]) -> str:
    if runs and name == "@last-failed":
        return "no run has failed; '@last' is the newest one"
    known = [*_WORDS, *(run.name for run in runs)] if runs else []
    return did_you_mean(name, known) or "run a recipe first, or give --workspaces-dir"
