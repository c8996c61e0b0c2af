"""Judge what came of a step's call, keep secrets out of it, and say what of it is recorded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.context import Change, Context
from orchestrator.files import replace_file
from orchestrator.frames import Task
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.layout import STDERR, STDOUT
from orchestrator.outcomes import Failing, Verdict, judge_done, masked, refused, rehearsed
from orchestrator.secrecy import CODE as SECRET_CODE
from orchestrator.secrecy import Masker
from orchestrator.states import AttemptState
from orchestrator.store.database import Database
from orchestrator.store.queries import read_metrics, read_results
from orchestrator.workers.calls import Done

_RECORDS: dict[str, Callable[[Database, int], Any]] = {
    "_runner.step_metrics_v1": lambda database, _: read_metrics(database),
    "_campaign.results_v1": read_results,
}
# What of an operator's answer tells of the files that an attempt left.
_COLLECTED = frozenset({"artifacts", "rejected_entries", "missing"})
_LOGS = (STDOUT, STDERR)


class Judge:
    """Judges the calls of one run; nothing that it gives holds a secret."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def verdict(
        self,
        task: Task,
        seen: Context,
        done: Done,
        *,
        folder: Path | None = None,
        given: AbstractSet[str] = frozenset(),
    ) -> Verdict:
        """Give the verdict of a call, with what the task has seen of the context.

        ``folder`` is where the step worked, if that is not here; what is ``given`` need not be read from its files.
        """
        if done.is_rehearsed:
            return rehearsed()
        verdict = _openly(task, seen, done, folder, given)
        if not self._masker.is_needed:
            return verdict
        leak = next((change.key for change in verdict.changes if self._masker.finds(change.text or "")), "")
        if leak:
            failing = Failing(code=SECRET_CODE, reason=f"the value of {leak!r} holds a secret", rule="secrets")
            verdict = refused(failing, self._without_secrets(verdict.changes))
        return masked(verdict, self._masker.mask)

    def masked(self, done: Done, folder: Path | None) -> Done:
        """Give what came of a call without secrets, and take them out of what the step printed into files."""
        if not self._masker.is_needed:
            return done
        for path in [folder / name for name in _LOGS] if folder else ():
            self._mask_log(path)
        return dataclasses.replace(
            done,
            stdout=self._masker.mask_output(done.stdout),
            stderr=self._masker.mask_output(done.stderr),
            changes=self._without_secrets(done.changes),
            operator_data=json.loads(self._masker.mask(dumps(dict(done.operator_data)))),
        )

    def _mask_log(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
        if self._masker.finds(text):
            replace_file(path, self._masker.mask_output(text).encode("utf-8", "surrogateescape"), mode=0o644)

    def _without_secrets(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        return tuple(change for change in changes if not self._masker.finds(change.text or ""))


def _openly(task: Task, seen: Context, done: Done, folder: Path | None, given: AbstractSet[str]) -> Verdict:
    planned = task.planned
    verdict = judge_done(
        done,
        step=planned.step,
        rules=planned.rules,
        save={key: text for key, text in planned.save.items() if key not in given},
        context=seen,
        names=task.scope(seen).names,
        folder=folder,
        missing=partial(missing_files, folder=folder),
        free_stdout=planned.free_stdout,
    )
    unmet: Any = done.operator_data.get("missing")
    if unmet and verdict.status is AttemptState.COMPLETED:
        reason = f"fetch.required: the step left no file that fits {unmet[0]!r}"
        return refused(Failing(code="MS302", reason=reason, rule="fetch"), verdict.changes)
    return verdict


def recorded(done: Done, verdict: Verdict | None, *, keep_stdout: bool) -> dict[str, Any]:
    """Give the fields of a closed attempt that come from the call itself."""
    changes = verdict.changes if verdict else done.changes
    return {
        "envelope": verdict.envelope.to_json() if verdict else None,
        "exit_code": done.exit_code,
        "stdout": done.stdout if keep_stdout else "",
        "stderr": done.stderr,
        "writes": [(change.key, change.text, change.who) for change in changes],
        "duration_sec": round(done.duration_sec, 6),
        "cpu_sec": done.cpu_sec,
        "max_rss_mb": done.max_rss_mb,
        "operator_data": {name: value for name, value in done.operator_data.items() if name not in _COLLECTED},
    }


def collected(done: Done) -> dict[str, JsonValue]:
    """Give what a call says of the files that it left."""
    return {name: value for name, value in done.operator_data.items() if name in _COLLECTED}


def records_for(task: Task, database: Database) -> tuple[Change, ...]:
    """Give what the run has recorded to a step whose class says that it needs this.

    That is what the steps so far used, or what came of the tasks of the last workflow before it.
    """
    planned = task.planned
    wanted = _RECORDS.keys() & set(planned.file.needs if planned.file else ())
    return tuple(Change(key, dumps(_RECORDS[key](database, task.position)), "runner") for key in sorted(wanted))


def missing_files(names: Sequence[str], folder: Path | None = None) -> tuple[str, ...]:
    """Give those of some files that are not there; relative ones lie in ``folder``, or else in the present one."""
    return tuple(name for name in names if not (folder or Path()).joinpath(name).exists())


def environment_of(env: JsonValue) -> dict[str, str]:
    """Give the variables of a step as text; what is no text becomes JSON."""
    values: Mapping[str, JsonValue] = dict(env)  # type: ignore[arg-type]
    return {name: value if isinstance(value, str) else dumps(value) for name, value in values.items()}
