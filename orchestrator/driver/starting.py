"""Start the tasks that are due: look whether they are to run, evaluate what they are given, and open an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.caching import CacheKey
from orchestrator.catalog import check_unchanged
from orchestrator.context import Change, Context
from orchestrator.driver.attempts import OPERATOR_KEY, STUB, Attempts
from orchestrator.driver.budget import Budget
from orchestrator.driver.groups import Groups
from orchestrator.driver.run import Run
from orchestrator.driver.stops import Stops
from orchestrator.errands import Errands
from orchestrator.errors import ExpressionError, ScriptletError, UsageError
from orchestrator.expressions import Scope, evaluate_condition, resolve
from orchestrator.frames import Task
from orchestrator.jsonsafe import JsonValue
from orchestrator.judging import environment_of, records_for
from orchestrator.nodes import Phase
from orchestrator.states import TaskState
from orchestrator.store.queries import bad_nodes, read_attempt
from orchestrator.workers.calls import Call, CommandCall, Done, PythonCall

if TYPE_CHECKING:
    from orchestrator.stubs import Stub


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a step is given, as evaluated; ``work`` is for the operator that carries it out, if there is one."""

    params: JsonValue
    environment: dict[str, str]
    key: CacheKey | None
    work: dict[str, Any] | None


class Starting:
    """Starts the tasks of one run."""

    def __init__(
        self, run: Run, errands: Errands, attempts: Attempts, groups: Groups, stops: Stops, budget: Budget
    ) -> None:
        self._run = run
        self._budget = budget
        self._errands = errands
        self._attempts = attempts
        self._groups = groups
        self._stops = stops

    def start(self, task: Task) -> Call | None:
        """Begin a task; give the call that is to be run here when the intent is durable.

        There is none for a group, which is expanded, for what goes to an operator, and where nothing is to be run.
        """
        if self._run.board.state(task.position) is not TaskState.PENDING:
            return None  # given up meanwhile, since a task before it was refused
        if self._stops.pauses_before(task):
            return None
        if task.item is None and self._groups.is_needless(task):
            self._run.skip(task, "nothing failed")
            return None
        merged = task.merged()
        task.frame.context.apply(merged.shared)
        if merged.conflict:
            self._run.refuse_writes(merged.conflict)
            return self.start(task)
        seen = task.frame.context.fork_hiding(merged.hidden)
        scope = task.scope(seen)
        if task.is_group:
            self._groups.expand(task, scope)
            return None
        return self._open(task, scope, seen, task.hidden_from_shared(self._run.root.context, merged.hidden))

    def _open(self, task: Task, scope: Scope, seen: Context, hidden: tuple[Change, ...]) -> Call | None:
        """Open an attempt at a task, unless a stub or a former result stands in for the step."""
        planned, means = task.planned, self._run.means
        given = self._given(task, scope, seen)
        if given is None:
            return None
        if means.stubs and (stub := means.stubs.find(task.task_id)):
            self._answer_for(task, stub, given.params, seen)
            return None
        if given.key and self._attempts.take_over(task, given.params, seen, given.key):
            return None
        if not self._has_room(task, given.work, seen):
            return None
        operator_key = planned.away.operator_key if planned.away else OPERATOR_KEY
        attempt_id = self._attempts.begin(
            task, given.params, seen, key=given.key, operator_key=operator_key, work=given.work
        )
        if given.work is not None or not isinstance(planned.target, PythonCall | CommandCall):
            index = self._run.running[attempt_id].attempt_index
            self._errands.prepare(read_attempt(self._run.database, task.position, index), given.environment)
            return None
        return Call(
            attempt_id=attempt_id,
            step=planned.step,
            target=planned.target,
            params=given.params,  # type: ignore[arg-type]
            env=given.environment,
            timeout_sec=planned.timeout_sec,
            hidden=(*hidden, *records_for(task, self._run.database)),
        )

    def _has_room(self, task: Task, work: Mapping[str, Any] | None, seen: Context) -> bool:
        """Tell whether the budget allows an attempt now; it may later, or never, which is recorded."""
        try:
            has_room = self._budget.has_room(task, work)
        except UsageError as error:
            self._attempts.refuse(task, error, "budget", seen)
            return False
        if not has_room:
            self._run.board.stepped_back(task.position)
        return has_room

    def _given(self, task: Task, scope: Scope, seen: Context) -> _Given | None:
        """Evaluate a task's condition and what it is given; None where it was skipped or refused."""
        planned, reuse = task.planned, self._run.means.reuse
        key = "when"
        try:
            if planned.when and not evaluate_condition(planned.when, scope):
                self._run.skip(task, f"when: {planned.when} is false")
                return None
            if planned.file:
                check_unchanged(planned.file)
            key = "args"
            params = resolve(planned.args, scope)
            key = "env"
            env = resolve(planned.env, scope)
            key = "cache"
            depends = reuse.key(planned, scope, params, env) if task.part is Phase.STEPS else None
            key = "files"
            environment = environment_of(env)
            work = self._work(task, scope, seen, environment) if planned.away else None
        except (ExpressionError, ScriptletError) as error:
            self._attempts.refuse(task, error, key, seen)
            return None
        return _Given(params=params, environment=environment, key=depends, work=work)

    def _work(self, task: Task, scope: Scope, seen: Context, env: Mapping[str, str]) -> dict[str, Any]:
        """Give what the operator of a step has to know."""
        from orchestrator.operators.orders import Surroundings, work_of  # noqa: PLC0415  slow, and few runs need it

        away = task.planned.away
        if away is None:
            return {}
        around = Surroundings(
            run_root=self._run.database.run_root,
            project=task.frame.project,
            scope=scope,
            seen=seen,
            env=env,
            failures=self._run.board.failures(task.position),
            bad_nodes=bad_nodes(self._run.database, task.position),
            is_secret=self._run.means.masker.finds,
        )
        return work_of(task.planned, away, self._run.means.operators[away.operator_key], around)

    def _answer_for(self, task: Task, stub: Stub, params: JsonValue, seen: Context) -> None:
        """Let a stub answer instead of the step; its attempt is opened and closed at once."""
        attempt_id = self._attempts.begin(task, params, seen, operator_key=STUB)
        index, planned = self._run.running[attempt_id].attempt_index, task.planned
        envelope, exit_code, changes = stub.answer(planned.step, index, exit_code=planned.rules.exit_code)
        stdout = "" if planned.free_stdout else envelope.line()
        stderr = envelope.reason if planned.free_stdout else ""
        done = Done(attempt_id=attempt_id, exit_code=exit_code, stdout=stdout, stderr=stderr, changes=changes)
        self._attempts.close(done, given=frozenset(stub.outputs), outcome="stubbed")
