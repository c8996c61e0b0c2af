"""Drive one run to its end: ask the board what is due, record the intent, run it, record what came of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from orchestrator.catalog import check_unchanged
from orchestrator.clock import monotonic
from orchestrator.context import Context
from orchestrator.engine import Board
from orchestrator.errors import ExpressionError, Problem, ScriptletError
from orchestrator.expressions import Scope, evaluate_condition, resolve
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.outcomes import INTERRUPTED, Failing, Verdict, judge_done
from orchestrator.plan import Plan, PlannedTask
from orchestrator.progress import Reporter, TaskEnded, TaskStarted
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.database import Database
from orchestrator.store.runs import set_task_states
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.inline import run_inline
from orchestrator.workers.pool import WorkerPool

OPERATOR_KEY = "local.default"

# Where below its step a failure is shown; the rest is shown at the step's name.
_PLACES = {
    **{key: (key,) for key in ("when", "args", "env")},
    **{rule: ("success", rule) for rule in ("ctx_has_keys", "files_exist", "json_schema", "expect")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An attempt on its way."""

    task: PlannedTask
    attempt_index: int


class Driver:
    """The loop of one run.

    A tick is one transaction: it closes the attempts that ended and opens those that are due, so a chain of steps
    costs one durable commit a step. Nothing starts, and nobody is told of anything, before the commit.
    """

    def __init__(
        self,
        plan: Plan,
        database: Database,
        *,
        board: Board,
        context: Context,
        pool: WorkerPool,
        names: dict[str, JsonValue],
        reporter: Reporter,
        attempt_counts: Mapping[int, int],
        inline: bool,
    ) -> None:
        self._plan = plan
        self._database = database
        self._run_root = str(database.run_root)
        self._board = board
        self._context = context
        self._pool = pool
        self._names = names
        self._reporter = reporter
        self._attempts = dict(attempt_counts)
        self._inline = inline
        self._running: dict[str, _Running] = {}
        self._ended: list[Done] = []
        self._news: list[Callable[[], None]] = []
        self._wake_at: float | None = None
        self._stopping: signal.Signals | None = None
        self._in_step = False

    def drive(self) -> tuple[RunState, str]:
        """Tick until the run settles or is stopped; return its state and the task whose failure counted first."""
        while True:
            settled = self._tick()
            if self._stopping and not self._running:
                return RunState.PENDING, ""
            if settled is not None:
                return settled, self._first_failure()
            self._wait()

    def stop(self, *, kill: bool = False) -> None:
        """Start nothing more and ask what runs to end, or kill it; safe in a signal handler."""
        self._stopping = signal.SIGKILL if kill else signal.SIGTERM
        self._pool.wake()
        if self._in_step:
            raise KeyboardInterrupt

    def _tick(self) -> RunState | None:
        calls: list[Call] = []
        with self._database.transaction():
            ended, self._ended = self._ended, []
            for done in ended:
                self._close(done)
            settled = self._start_due(calls)
        self._tell()
        for call in calls:
            self._run(call)
        return settled

    def _start_due(self, calls: list[Call]) -> RunState | None:
        """Open what is due until nothing more is; a step that is skipped or fails at once makes the next one due."""
        while not self._stopping:
            due = self._board.due(monotonic(), slots=self._pool.free - len(calls))
            self._block(due.block)
            self._wake_at = due.wake_at
            for position in due.start:
                call = self._open(self._plan.tasks[position])
                calls += [call] if call else []
            if due.settled or not due.start:
                return due.settled
        return None

    def _wait(self) -> None:
        """Wait until there is something to record or to start."""
        while not self._ended:
            if self._stopping:
                self._pool.interrupt(INTERRUPTED, number=self._stopping)
            self._ended += self._pool.wait(self._patience())
            if self._stopping or (self._wake_at is not None and monotonic() >= self._wake_at):
                return

    def _patience(self) -> float | None:
        return None if self._wake_at is None else max(0.0, self._wake_at - monotonic())

    def _open(self, task: PlannedTask) -> Call | None:
        """Evaluate a task's condition and arguments and record the intent; None where there is nothing to run."""
        scope = Scope(names=self._names, ctx=self._context)
        key = "when"
        try:
            if task.when and not evaluate_condition(task.when, scope):
                self._skip(task, f"when: {task.when} is false")
                return None
            if task.file:
                check_unchanged(task.file)
            key = "args"
            params = resolve(task.args, scope)
            key = "env"
            env = resolve(task.env, scope)
        except (ExpressionError, ScriptletError) as error:
            self._refuse(task, error, key)
            return None
        attempt_id = self._open_attempt(task, params)
        environment = {name: _as_text(value) for name, value in dict(env).items()}  # type: ignore[arg-type]
        return Call(
            attempt_id=attempt_id,
            step=task.step,
            target=task.target,
            params=params,  # type: ignore[arg-type]
            env=environment,
            timeout_sec=task.timeout_sec,
        )

    def _open_attempt(self, task: PlannedTask, params: JsonValue) -> str:
        outputs = happen(
            "task.ready",
            {
                "run_root": self._run_root,
                "task_id": task.task_id,
                "params": params,
                "operator_key": OPERATOR_KEY,
            },
        )
        attempt_id: str = outputs["_attempt.opened_v1"]["attempt_id"]
        index = self._attempts[task.position] = self._attempts.get(task.position, 0) + 1
        self._running[attempt_id] = _Running(task=task, attempt_index=index)
        self._board.started(task.position)
        started = TaskStarted(position=task.position, task_id=task.task_id, attempt_index=index)
        self._news.append(lambda: self._reporter.tell(started))
        return attempt_id

    def _run(self, call: Call) -> None:
        """Run a call now, in this process, or hand it to a worker."""
        task = self._running[call.attempt_id].task
        if not self._inline or task.needs_process or not isinstance(call.target, PythonCall):
            self._pool.start(call)
            return
        self._in_step = True
        try:
            self._ended.append(run_inline(call, call.target, self._context))
        except KeyboardInterrupt:
            self._stopping = signal.SIGINT
            self._ended.append(Done(attempt_id=call.attempt_id, exit_code=None, fault=INTERRUPTED))
        finally:
            self._in_step = False

    def _skip(self, task: PlannedTask, reason: str) -> None:
        set_task_states(self._database, [task.task_id], TaskState.SKIPPED, reason)
        self._settle_task(task, TaskState.SKIPPED)
        self._report(TaskEnded(position=task.position, task_id=task.task_id, status=TaskState.SKIPPED, reason=reason))

    def _block(self, blocked: tuple[tuple[int, str], ...]) -> None:
        for reason, group in groupby(blocked, key=itemgetter(1)):
            tasks = [self._plan.tasks[position] for position, _ in group]
            set_task_states(self._database, [task.task_id for task in tasks], TaskState.BLOCKED, reason)
            for task in tasks:
                self._remember(task, TaskState.BLOCKED)
                self._report(
                    TaskEnded(position=task.position, task_id=task.task_id, status=TaskState.BLOCKED, reason=reason)
                )

    def _refuse(self, task: PlannedTask, error: ExpressionError | ScriptletError, key: str) -> None:
        """Record an attempt that could not even be made: ``key`` has no value, or the scriptlet's file changed."""
        attempt_id = self._open_attempt(task, {})
        outcome = "expression" if isinstance(error, ExpressionError) else "scriptlet"
        rule = key if outcome == "expression" else outcome
        failing = Failing(code=error.code, reason=str(error), rule=rule, detail=error.hint)
        self._conclude(
            Done(attempt_id=attempt_id, exit_code=None),
            AttemptState.FAILED_INIT,
            TaskState.FAILED,
            outcome=outcome,
            failing=failing,
        )

    def _close(self, done: Done) -> None:
        running = self._running[done.attempt_id]
        verdict = self._judge(running.task, done)
        if verdict.status is AttemptState.COMPLETED:
            self._context.apply(verdict.changes)
            self._conclude(done, verdict.status, TaskState.COMPLETED, outcome="ok", verdict=verdict)
            return
        if verdict.status is AttemptState.CANCELLED:
            self._conclude(done, verdict.status, TaskState.PENDING, outcome=verdict.outcome, verdict=verdict)
            return
        retry_at = self._board.retry_at(running.task.position, verdict.cause, monotonic())
        state = TaskState.FAILED if retry_at is None else TaskState.PENDING
        self._conclude(
            done, verdict.status, state, outcome=verdict.outcome, verdict=verdict, failing=verdict.failing, at=retry_at
        )

    def _judge(self, task: PlannedTask, done: Done) -> Verdict:
        return judge_done(
            done,
            step=task.step,
            rules=task.rules,
            context=self._context,
            names=self._names,
            missing=_missing,
            free_stdout=task.free_stdout,
        )

    def _conclude(
        self,
        done: Done,
        status: AttemptState,
        state: TaskState,
        *,
        outcome: str,
        verdict: Verdict | None = None,
        failing: Failing | None = None,
        at: float | None = None,
    ) -> None:
        """Record the end of an attempt and move its task on."""
        running = self._running.pop(done.attempt_id)
        reason = failing.reason if failing else ""
        happen(
            "attempt.exited",
            {
                "run_root": self._run_root,
                "task_id": running.task.task_id,
                "attempt_id": done.attempt_id,
                "status": status,
                "task_status": state,
                "outcome": outcome,
                "reason": reason,
                **_recorded(done, verdict, keep_stdout=running.task.free_stdout or failing is not None),
            },
        )
        if state is TaskState.PENDING:
            self._board.again(running.task.position, monotonic() if at is None else at)
        else:
            self._settle_task(running.task, state)
        self._report(_ending(running, done, state, verdict, failing, self._problem(running.task, failing), at))

    def _settle_task(self, task: PlannedTask, state: TaskState) -> None:
        self._board.ended(task.position, state)
        self._remember(task, state)

    def _remember(self, task: PlannedTask, state: TaskState) -> None:
        """Let expressions see what became of a task."""
        steps: dict[str, Any] = self._names["steps"]  # type: ignore[assignment]
        steps[task.task_id] = {"status": state.value}

    def _problem(self, task: PlannedTask, failing: Failing | None) -> Problem | None:
        """Point at the line of the recipe that a failure belongs to."""
        if failing is None:
            return None
        within = _PLACES.get(failing.rule, ("name",))
        place = self._plan.loaded.place(task.step, *within, failing.index)
        detail = "" if failing.detail in failing.reason or failing.rule == "exit_code" else failing.detail
        return Problem(failing.code, f"{task.task_id}: {failing.reason}", place, detail)

    def _report(self, ending: TaskEnded) -> None:
        self._news.append(lambda: self._reporter.tell(ending))

    def _tell(self) -> None:
        news, self._news = self._news, []
        for tell in news:
            tell()

    def _first_failure(self) -> str:
        return self._plan.tasks[self._board.failed[0]].task_id if self._board.failed else ""


def _recorded(done: Done, verdict: Verdict | None, *, keep_stdout: bool) -> dict[str, Any]:
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
    }


def _ending(
    running: _Running,
    done: Done,
    state: TaskState,
    verdict: Verdict | None,
    failing: Failing | None,
    problem: Problem | None,
    at: float | None,
) -> TaskEnded:
    kept = verdict.changes if verdict and state is TaskState.COMPLETED else ()
    return TaskEnded(
        position=running.task.position,
        task_id=running.task.task_id,
        status=state,
        reason=failing.reason if failing else (INTERRUPTED if done.fault == INTERRUPTED else ""),
        duration_sec=done.duration_sec,
        outputs=tuple(dict.fromkeys(change.key for change in kept)),
        attempt_index=running.attempt_index,
        retry_in_sec=None if at is None else max(0.0, at - monotonic()),
        allowed=running.task.node.allow_failure,
        stderr=done.stderr if problem else "",
        problem=problem,
    )


def _missing(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not Path(name).exists())


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else dumps(value)
