"""Run one step of a run again, outside of it: with the arguments and the values that it had, changing no record."""

from __future__ import annotations

import pdb  # noqa: T100  it is what --pdb asks for
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.context import Change, Context
from orchestrator.errors import UsageError
from orchestrator.expressions import resolve
from orchestrator.frames import Parts, Task
from orchestrator.jsonsafe import JsonValue
from orchestrator.judging import environment_of, missing_files, records_for
from orchestrator.keys import did_you_mean
from orchestrator.outcomes import Verdict, judge_done, masked
from orchestrator.recall import recall, withheld
from orchestrator.scriptlet import BaseScriptlet, print_traceback
from orchestrator.secrecy import Masker, handing_on, read_secrets
from orchestrator.starts import plan_as_started
from orchestrator.states import AttemptState
from orchestrator.store.contexts import read_history
from orchestrator.store.database import Database, reading
from orchestrator.store.queries import AttemptRow, read_attempts, read_opening, read_tasks
from orchestrator.workers.calls import Call, CommandCall, Done, PythonCall
from orchestrator.workers.loading import load_class, surroundings
from orchestrator.workers.pool import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of running a step again, beside what its attempt recorded; writes are JSON text by key."""

    attempt: AttemptRow
    verdict: Verdict
    stderr: str
    duration_sec: float
    then: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def now(self) -> dict[str, str | None]:
        """Give what the step wrote this time."""
        return {change.key: change.text for change in self.verdict.changes}

    @property
    def differing(self) -> list[str]:
        """Give the keys that were not written with the same value both times."""
        return [key for key in {**self.then, **self.now} if self.then.get(key) != self.now.get(key)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A task at the moment when one of its attempts began."""

    task: Task
    attempt: AttemptRow
    seen: Context
    env: dict[str, str]
    masker: Masker
    withheld: frozenset[str]
    folders: list[str]
    then: dict[str, str | None]


def replay(run_root: Path, task_id: str, attempt_index: int | None = None) -> Replay:
    """Run the step of a task once more as one of its attempts ran, the last if none is named.

    Raises `UsageError` for a task or an attempt that there is not, and for secrets that are missing; `InvalidFileError`
    where the recipe that was kept cannot be planned any more.
    """
    with ExitStack() as files:
        scene = _scene(run_root, task_id, attempt_index, files)
        done = _run(scene)
    planned = scene.task.planned
    verdict = judge_done(
        done,
        step=planned.step,
        rules=planned.rules,
        save=planned.save,
        context=scene.seen,
        names=scene.task.scope(scene.seen).names,
        missing=missing_files,
        free_stdout=planned.free_stdout,
    )
    return Replay(
        attempt=scene.attempt,
        verdict=masked(verdict, scene.masker.mask),
        stderr=scene.masker.mask_output(done.stderr),
        duration_sec=done.duration_sec,
        then=scene.then,
    )


def debug(run_root: Path, task_id: str, attempt_index: int | None = None) -> bool:
    """Run a Python step as `replay` does, in this process, and open the debugger where it fails; tell whether it did.

    Raises `UsageError` for a step that is no Python class.
    """
    with ExitStack() as files:
        scene = _scene(run_root, task_id, attempt_index, files)
        target = scene.task.planned.target
        if not isinstance(target, PythonCall):
            raise UsageError(f"{task_id} is no Python step", hint="leave out --pdb")
        try:
            with surroundings(scene.env):
                scriptlet = load_class(target.path, target.module, target.class_name, target.sha256)()
                return _answers(scriptlet, scene.seen.fork(who=scene.task.planned.step), dict(scene.attempt.params))
        except Exception as error:  # noqa: BLE001  whatever the step raises is what the debugger is for
            print_traceback(error)
            pdb.post_mortem(error.__traceback__)
            return False


def _answers(scriptlet: BaseScriptlet, ctx: Context, params: dict[str, Any]) -> bool:
    """Run a scriptlet so that its errors come through, as far as it does not catch them itself."""
    if type(scriptlet).run is not BaseScriptlet.run:
        return not scriptlet.run(ctx, params)
    print(scriptlet.answer(ctx, params).line(), flush=True)  # noqa: T201  its answer, as by hand
    return True


def _scene(run_root: Path, task_id: str, attempt_index: int | None, files: ExitStack) -> _Scene:
    """Set an attempt up again; the files of secrets last as long as ``files``."""
    plan = plan_as_started(run_root)
    with reading(run_root) as database:
        rows = read_tasks(database)
        names = [row.task_id for row in rows]
        if task_id not in names:
            raise UsageError(f"run {run_root.name} has no task {task_id!r}", hint=did_you_mean(task_id, names))
        attempt = _attempt(database, task_id, attempt_index)
        declared = {name: recipe.secrets for name, recipe in plan.recipes.items()}
        secrets = {name: read_secrets(recipe) for name, recipe in declared.items()}
        context = Context()
        _, tasks = recall(
            database,
            plan,
            rows,
            files.enter_context(handing_on(declared, secrets)).secrets,
            parts=Parts(),
            context=context,
            fixtures={},
            until=read_opening(database, attempt.attempt_id),
        )
        then = {
            entry.key: entry.value_json for entry in read_history(database) if entry.attempt_id == attempt.attempt_id
        }
        metrics = records_for(tasks[names.index(task_id)], database)
    task = tasks[names.index(task_id)]
    merged = task.merged()
    task.frame.context.apply(merged.shared)
    seen = task.frame.context.fork_hiding((*merged.hidden, *metrics))
    return _Scene(
        task=task,
        attempt=attempt,
        seen=seen,
        env=environment_of(resolve(task.planned.env, task.scope(seen))),
        masker=Masker([value for values in secrets.values() for value in values.values()]),
        withheld=withheld(plan),
        folders=[str(plan.project.root)],
        then=then,
    )


def _attempt(database: Database, task_id: str, attempt_index: int | None) -> AttemptRow:
    attempts = {row.attempt_index: row for row in read_attempts(database, task_id)}
    if not attempts:
        raise UsageError(f"{task_id} was never attempted", hint="see 'matterstack status'")
    attempt = attempts.get(max(attempts) if attempt_index is None else attempt_index)
    if attempt is None:
        raise UsageError(f"{task_id} has no attempt {attempt_index}", hint=f"it has 1 to {max(attempts)}")
    if attempt.status is AttemptState.FAILED_INIT:
        raise UsageError(
            f"attempt {attempt.attempt_index} of {task_id} never began: {attempt.status_reason}", hint="retry the run"
        )
    return attempt


def _run(scene: _Scene) -> Done:
    planned, params = scene.task.planned, scene.attempt.params
    if planned.away or not isinstance(planned.target, PythonCall | CommandCall):
        hint = "rerun it: 'matterstack rerun'"
        raise UsageError(f"{scene.task.task_id} is carried out by an operator, not by the runner", hint=hint)
    own = Context()
    own.apply(Change(key, text, "") for key, text in scene.seen.texts().items())
    call = Call(
        attempt_id=scene.attempt.attempt_id,
        step=planned.step,
        target=planned.target,
        params=params,
        env=scene.env,
        timeout_sec=planned.timeout_sec,
    )
    pool = WorkerPool(own, folders=scene.folders, withheld=scene.withheld)
    try:
        pool.start(call)
        while not (ended := pool.wait(None)):
            pass
        return ended[0]
    finally:
        pool.close()


def to_json(done: Replay) -> dict[str, JsonValue]:
    """Give what came of it as one JSON document."""
    attempt, failing = done.attempt, done.verdict.failing
    return {
        "status": "error" if failing else "ok",
        "task_id": attempt.task_id,
        "attempt_index": attempt.attempt_index,
        "reason": failing.reason if failing else "",
        "then": {"status": attempt.status.value, "reason": attempt.status_reason},
        "writes": {change.key: change.value for change in done.verdict.changes},
        "differing": list(done.differing),
    }
