"""Open the attempts of a run and close them: record what was meant, judge what came of it, and move the task on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from orchestrator.caching import CacheKey
from orchestrator.clock import monotonic
from orchestrator.context import Context
from orchestrator.driver.budget import Budget
from orchestrator.driver.conclusion import CACHED, Conclusion
from orchestrator.driver.limits import Limits
from orchestrator.driver.run import Run, Running
from orchestrator.errands import Errands
from orchestrator.errors import InvalidFileError, MatterStackError, Problem, ScriptletError
from orchestrator.frames import Task
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue
from orchestrator.judging import Judge
from orchestrator.operators.assignments import Sighting
from orchestrator.outcomes import INTERRUPTED, Failing, Verdict
from orchestrator.progress import TaskStarted
from orchestrator.states import AttemptState, TaskState
from orchestrator.store.attempts import attempt_path
from orchestrator.workers.calls import Done

OPERATOR_KEY = "local.default"
STUB = "stub"
# What stands for a refusal in the records, where no expression is at fault.
_REFUSALS = {"budget": "budget"}


class Attempts:
    """The attempts at the tasks of one run."""

    def __init__(self, run: Run, errands: Errands, limits: Limits, budget: Budget) -> None:
        self._run = run
        self._budget = budget
        self._errands = errands
        self._limits = limits
        self._judge = Judge(run.means.masker)

    def begin(
        self,
        task: Task,
        params: JsonValue,
        seen: Context,
        *,
        key: CacheKey | None = None,
        operator_key: str = OPERATOR_KEY,
        work: Mapping[str, Any] | None = None,
    ) -> str:
        """Record the intent to attempt a task; return the attempt's id. ``work`` is for the operator, if there is one.

        ``key`` is that under which the result is kept.
        """
        asked: dict[str, Any] = {"task_id": task.task_id, "params": params, "operator_key": operator_key}
        if work is not None:
            asked["work"] = work
        opened = happen("task.ready", {"run_root": self._run_root, **asked})["_attempt.opened_v1"]
        attempt_id: str = opened["attempt_id"]
        index: int = opened["attempt_index"]
        self._budget.charge(attempt_id, work)
        self._run.running[attempt_id] = Running(
            task=task,
            attempt_index=index,
            seen=seen,
            key=key,
            is_stubbed=operator_key == STUB,
            folder=None if work is None else self._run.database.run_root / attempt_path(task.task_id, attempt_id),
        )
        self._run.board.started(task.position)
        place = self._run.place_of(task)
        self._run.news.tell(TaskStarted(position=place, task_id=task.task_id, attempt_index=index))
        return attempt_id

    def refuse(self, task: Task, error: MatterStackError, key: str, seen: Context) -> None:
        """Record an attempt that could not even be made: ``key`` has no value, or the scriptlet's file changed."""
        attempt_id = self.begin(task, {}, seen)
        outcome = "scriptlet" if isinstance(error, ScriptletError) else _REFUSALS.get(key, "expression")
        rule = outcome if outcome == "scriptlet" else key
        reason = str(error)
        if isinstance(error, InvalidFileError):
            reason = "; ".join(map(_in_one_line, error.problems))
        failing = Failing(code=error.code, reason=reason, rule=rule, detail=error.hint)
        self._conclude(
            Conclusion(
                done=Done(attempt_id=attempt_id, exit_code=None),
                status=AttemptState.FAILED_INIT,
                state=TaskState.FAILED,
                outcome=outcome,
                failing=failing,
            )
        )

    def not_begun(self, sighting: Sighting) -> None:
        """Record an attempt that an operator could not begin; what was refused for good is not tried again as it is."""
        task = self._run.running[sighting.attempt_id].task
        grows = task.planned.away.grow if task.planned.away else {}
        is_hopeless = sighting.is_final and sighting.about.isdisjoint(grows)
        at = None if is_hopeless else self._run.board.retry_at(task.position, "error", monotonic())
        self._conclude(
            Conclusion(
                done=Done(attempt_id=sighting.attempt_id, exit_code=None),
                status=AttemptState.FAILED_INIT,
                state=_failed(at),
                outcome="not begun",
                failing=Failing(code="MS601", reason=sighting.note, rule="operator"),
                at=at,
            )
        )

    def close(self, done: Done, *, given: AbstractSet[str] = frozenset(), outcome: str = "ok") -> None:
        """Judge and record what came of a call; what is ``given`` need not be read from the step's files."""
        running = self._run.running[done.attempt_id]
        verdict = self._judge.verdict(running.task, running.seen, done, folder=running.folder, given=given)
        done = self._judge.masked(done, running.folder)
        if verdict.status is AttemptState.COMPLETED:
            self._succeed(done, verdict, outcome=verdict.outcome if done.is_rehearsed else outcome)
            if running.key:
                self._keep(running, running.key, done, verdict)
            return
        ended = Conclusion(
            done=done, status=verdict.status, state=TaskState.PENDING, outcome=verdict.outcome, verdict=verdict
        )
        if verdict.status is not AttemptState.CANCELLED or done.fault != INTERRUPTED:
            at = self._retry_at(running.task, verdict)
            ended = dataclasses.replace(ended, state=_failed(at), failing=verdict.failing, at=at)
        self._conclude(ended)

    def take_over(self, task: Task, params: JsonValue, seen: Context, key: CacheKey) -> bool:
        """Take over a former result, where there is one that still is a success."""
        found = self._run.means.reuse.find(task.task_id, key)
        if found is None:
            return False
        exit_code = task.planned.rules.exit_code
        judged = Done(attempt_id="", exit_code=exit_code, stdout=found.stdout, changes=found.writes)
        verdict = self._judge.verdict(task, seen, judged)
        if verdict.status is not AttemptState.COMPLETED:
            return False
        done = dataclasses.replace(judged, attempt_id=self.begin(task, params, seen))
        self._succeed(done, verdict, outcome=f"{CACHED} from run {found.run_id}")
        return True

    @property
    def _run_root(self) -> str:
        return str(self._run.database.run_root)

    def _retry_at(self, task: Task, verdict: Verdict) -> float | None:
        """Say when a task is attempted again after a failure, or after its attempt was lost; None where it is not."""
        if self._limits.is_over(task):
            return None
        if verdict.status is not AttemptState.LOST:
            return self._run.board.retry_at(task.position, verdict.cause, monotonic())
        delay_sec = self._errands.delay_after_loss(task.position)
        return None if delay_sec is None else monotonic() + delay_sec

    def _keep(self, running: Running, key: CacheKey, done: Done, verdict: Verdict) -> None:
        """Keep a result for later runs, when it is durable in this one."""
        after = running.seen.fork_hiding(verdict.changes)
        task, reuse = running.task, self._run.means.reuse
        result = reuse.result(task.task_id, task.planned, key, done, task.scope(after))
        self._run.news.then(partial(reuse.keep, result))

    def _succeed(self, done: Done, verdict: Verdict, *, outcome: str) -> None:
        task = self._run.running[done.attempt_id].task
        if task.item is None:
            task.frame.merge.ended(task.position, verdict.changes)
        self._conclude(
            Conclusion(done=done, status=verdict.status, state=TaskState.COMPLETED, outcome=outcome, verdict=verdict)
        )

    def _conclude(self, conclusion: Conclusion) -> None:
        """Record the end of an attempt and move its task on."""
        running = self._run.running.pop(conclusion.done.attempt_id)
        task = running.task
        self._budget.settle(conclusion)
        for position in self._budget.take_ready():
            if self._run.board.state(position) is TaskState.PENDING:
                self._run.board.again(position, monotonic())
        happen("attempt.exited", {"run_root": self._run_root, **conclusion.to_record(running)})
        if conclusion.state is TaskState.PENDING:
            self._run.board.again(task.position, monotonic() if conclusion.at is None else conclusion.at)
        else:
            self._run.settle(task, conclusion.state)
        self._run.news.tell(conclusion.to_news(running, self._run.place_of(task)))


def _failed(retry_at: float | None) -> TaskState:
    """Give the state in which a failure leaves a task that is attempted again at a time, or not."""
    return TaskState.FAILED if retry_at is None else TaskState.PENDING


def _in_one_line(problem: Problem) -> str:
    return f"{problem.message} ({problem.help})" if problem.help else problem.message
