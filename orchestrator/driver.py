"""Drive one run to its end: ask the board what is due, record the intent, run it, record what came of it."""

from __future__ import annotations

import dataclasses
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.caching import CacheKey
from orchestrator.catalog import check_unchanged
from orchestrator.clock import monotonic
from orchestrator.context import Change, Context
from orchestrator.engine import Board, Due
from orchestrator.errands import Errands
from orchestrator.errors import (
    ExpressionError,
    InvalidFileError,
    MatterStackError,
    NotJsonSafeError,
    Problem,
    ScriptletError,
    UsageError,
)
from orchestrator.expressions import Scope, evaluate, evaluate_condition, resolve
from orchestrator.fanning import fan_out
from orchestrator.frames import (
    Frame,
    Secrets,
    Task,
    add_to_merge,
    frame_outputs,
    nodes_of,
    part_of,
    root_task,
    sub_frame,
)
from orchestrator.inputs import settle_inputs
from orchestrator.invoke import happen
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.judging import Judge, collected, environment_of, recorded, records_for
from orchestrator.merge import Conflict
from orchestrator.nodes import Phase
from orchestrator.operators.assignments import Assignment, Sighting
from orchestrator.operators.crew import Crew
from orchestrator.outcomes import INTERRUPTED, Failing, Verdict
from orchestrator.plan import Plan, PlannedTask, SubRecipe
from orchestrator.progress import Reporter, TaskEnded, TasksAdded, TaskStarted, TaskWaiting
from orchestrator.reuse import Reuse
from orchestrator.secrecy import Masker
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import attempt_path
from orchestrator.store.database import Database
from orchestrator.store.queries import read_attempt, read_open_attempts
from orchestrator.store.requests import Inbox, Request, Wish
from orchestrator.store.runs import (
    ROUND_KEY,
    add_round,
    collect_task,
    expand_task,
    refuse_writes,
    round_id,
    set_task_states,
    use_recipe,
)
from orchestrator.workers.calls import Call, CommandCall, Done, PythonCall
from orchestrator.workers.inline import run_inline
from orchestrator.workers.pool import WorkerPool

if TYPE_CHECKING:
    from orchestrator.stubs import Stub, Stubs
    from orchestrator.wiring.reading import Wired

OPERATOR_KEY = "local.default"
CACHED = "cached"
STUB = "stub"
_LOOKS_EVERY_SEC = 0.5
# Where below its step a failure is shown; the rest is shown at the step's name.
_PLACES = {
    **{
        key: (key,)
        for key in ("when", "args", "env", "foreach", "matrix", "save", "cache", "uses", "files", "fetch", "tasks")
    },
    **{rule: ("success", rule) for rule in ("ctx_has_keys", "files_exist", "json_schema", "expect")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the drive of a run ended: ``step`` is the first whose failure counted, or nothing where none was at fault.

    Of a pause, it is the one that would have come next.
    """

    status: RunState
    step: str = ""
    reason: str = ""
    problem: Problem | None = None
    is_pause: bool = False
    waits_for: tuple[str, ...] = ()
    outputs: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run is driven with: where its steps run, what is reused, what is kept secret, and who is told."""

    pool: WorkerPool
    reuse: Reuse
    secrets: Secrets
    stubs: Stubs | None
    masker: Masker
    reporter: Reporter
    inline: bool
    crew: Crew
    operators: Mapping[str, Wired]
    inbox: Inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An attempt on its way, with what it sees of the context; one that an operator has works in its own folder."""

    task: Task
    attempt_index: int
    seen: Context
    key: CacheKey | None = None
    is_stubbed: bool = False
    folder: Path | None = None


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
        root: Frame,
        tasks: list[Task],
        board: Board,
        means: Means,
        break_at: Sequence[str] = (),
        once: bool = False,
    ) -> None:
        self._plan = plan
        self._database = database
        self._run_root = str(database.run_root)
        self._tasks = tasks
        self._board = board
        self._root = root
        self._means = means
        self._pool = means.pool
        self._errands = Errands(database, means.crew)
        self._reporter = means.reporter
        self._reuse = means.reuse
        self._judge = Judge(means.masker)
        self._frames = {task.parent: task.frame for task in tasks if task.parent is not None and task.item is None}
        self._running: dict[str, _Running] = {}
        self._ended: list[Done] = []
        self._news: list[Callable[[], None]] = []
        self._wake_at: float | None = None
        self._stopping: signal.Signals | None = None
        self._in_step = False
        self._deadline: float | None = None
        self._round = int(str(root.context.get(ROUND_KEY, 0)))
        self._loop_problem: Problem | None = None
        self._expired = False
        self._limits: dict[int, float] = {}
        self._given_up: dict[int, str] = {}
        self._break_at = frozenset(break_at)
        self._paused_at = ""
        self.asked: Request | None = None
        self._once = once
        self._rounds: dict[int, tuple[Frame, int]] = {}

    def drive(self) -> Ending:
        """Tick until the run settles or is stopped."""
        if self._plan.recipe.repeat and not self._round:
            with self._database.transaction():
                self._begin_round(1)
        limit = self._plan.recipe.timeout
        self._deadline = None if limit is None else monotonic() + limit
        for position, frame in self._frames.items():
            self._rounds[position] = (frame, int(str(frame.context.get(ROUND_KEY, 1))))
            if self._board.state(position) is TaskState.RUNNING:
                self._limit(self._tasks[position])
        self._adopt()
        while True:
            settled = self._tick()
            if left := self._left(settled):
                return left
            if settled is not None:
                return self._ending(settled)
            self._wait()

    def _left(self, settled: RunState | None) -> Ending | None:
        """Give the end of a drive that leaves its run unsettled: it was stopped, paused, or waits for people alone."""
        is_idle = settled is None and self._wake_at is None
        if self._stopping and not self._running and (is_idle or self._stopping is signal.SIGKILL):
            return Ending(status=RunState.PENDING)
        if self._once:
            self._ended += self._errands.look(self._running)
        if self._once and self._only_waits():
            waits_for = tuple(one.task_id for one in self._errands.assignments.values())
            self._set_aside()
            return Ending(status=RunState.PENDING, step=waits_for[0], is_pause=True, waits_for=waits_for)
        if self._is_pausing and not self._running:
            self._root.context.apply(self._root.merge.at_end().shared)
            return Ending(status=RunState.PENDING, step=self._paused_at, is_pause=True)
        return None

    def _ending(self, settled: RunState) -> Ending:
        if settled is RunState.FAILED and self._loop_problem:
            return Ending(status=settled, reason=self._loop_problem.message, problem=self._loop_problem)
        if settled is RunState.FAILED and self._expired:
            return Ending(status=settled, reason=f"the run took more than {self._plan.recipe.timeout:g} seconds")
        if settled is not RunState.COMPLETED:
            return Ending(status=settled, step="" if settled is RunState.PENDING else self._first_failure())
        outputs: dict[str, JsonValue] = {}
        for name, text in self._plan.recipe.outputs.items():
            try:
                outputs[name] = evaluate(text, self._root.scope)
            except ExpressionError as error:
                place = self._plan.source.place(("outputs", name))
                problem = Problem(error.code, f"outputs.{name}: {error.message}", place, error.hint)
                return Ending(status=RunState.FAILED, reason=problem.message, problem=problem)
        return Ending(status=settled, outputs=outputs)

    @property
    def left_behind(self) -> tuple[Assignment, ...]:
        """Give the attempts that operators go on with when this runner has ended."""
        return self._errands.left_behind

    @property
    def has_expired(self) -> bool:
        """Tell whether the whole run took longer than its recipe allows."""
        return self._expired

    @property
    def _is_pausing(self) -> bool:
        return bool(self._paused_at) or (self.asked is not None and self.asked.wish is Wish.PAUSE)

    def _heed(self) -> bool:
        """Do what others ask of the run meanwhile; tell whether they asked for anything."""
        requests = self._means.inbox.fresh()
        for request in requests:
            if request.wish is Wish.CANCEL_ATTEMPT:
                self._cancel_attempt(request)
            elif self.asked is None or (request.wish is Wish.CANCEL and self._is_pausing):
                self.asked = request
        if self.asked and self.asked.wish is Wish.CANCEL and not self._stopping:
            self._paused_at = ""
            self.stop()
        return bool(requests)

    def _cancel_attempt(self, request: Request) -> None:
        """End one attempt that is under way; its task goes on by its rules."""
        if request.attempt_id in self._errands.assignments:
            self._errands.cancel(request.told, lambda one: one == request.attempt_id)
        elif request.attempt_id in self._running:
            self._pool.interrupt(request.told, spare=self._running.keys() - {request.attempt_id})

    def stop(self, *, kill: bool = False) -> None:
        """Start no further step and ask those that run to end, then run what the recipe does last; or kill all.

        Safe in a signal handler.
        """
        self._stopping = signal.SIGKILL if kill else signal.SIGTERM
        self._pool.wake()
        if self._in_step:
            raise KeyboardInterrupt

    def _tick(self) -> RunState | None:
        calls: list[Call] = []
        self._heed()
        if self._stopping:
            self._board.halt()
        self._part_with_operators()
        with self._database.transaction():
            for sighting in self._errands.take_news():
                self._note(sighting)
            ended, self._ended = self._ended, []
            for done in ended:
                self._close(done)
            settled = self._start_due(calls)
        self._tell()
        for call in calls:
            self._run(call)
        self._errands.hand_over()
        if self._board.is_stopping:
            self._cancel(INTERRUPTED, _is_needless_question)
        return settled

    def _start_due(self, calls: list[Call]) -> RunState | None:
        """Open what is due until nothing more is; a step that is skipped or fails at once makes the next one due."""
        while self._stopping is not signal.SIGKILL and not self._is_pausing:
            due = self._board.due(monotonic(), slots=self._pool.free - len(calls))
            self._block(due.block)
            self._wake_at = due.wake_at
            for position in due.collect:
                self._collect(self._tasks[position])
            for position, reason in due.skip:
                self._skip(self._tasks[position], reason)
            for position in due.start:
                calls += self._start(self._tasks[position])
            if due.settled is not None and self._merge_rest(self._root):
                return due.settled
            self._end_rounds_of(due)
            if due.settled is None and due.is_idle:
                return None
        return None

    def _end_rounds_of(self, due: Due) -> None:
        """Go on where the steps of the run, or of a used recipe, have ended a round."""
        for position in due.rounds_below:
            if self._merge_rest(self._frames[position]):
                self._go_round(self._tasks[position])
            else:
                self._board.end_rounds(position)
        if due.round_is_over and self._merge_rest(self._root):
            self._go_round()

    def _start(self, task: Task) -> list[Call]:
        """Begin a task; a group is expanded, and of what fails or is skipped at once there is nothing to run."""
        if self._board.state(task.position) is not TaskState.PENDING:
            return []  # given up meanwhile, since a task before it was refused
        if self._paused_at or self._break_at.intersection((task.task_id, *self._step_name(task))):
            self._paused_at = self._paused_at or task.task_id
            return []
        if task.item is None and self._is_needless(task):
            self._skip(task, "nothing failed")
            return []
        merged = task.merged()
        task.frame.context.apply(merged.shared)
        if merged.conflict:
            self._refuse_writes(merged.conflict)
            return self._start(task)
        seen = task.frame.context.fork_hiding(merged.hidden)
        scope = task.scope(seen)
        if task.is_fan:
            self._fan_out(task, scope)
        elif task.is_group:
            self._enter(task, scope)
        else:
            call = self._open(task, scope, seen, task.hidden_from_shared(self._root.context, merged.hidden))
            return [call] if call else []
        return []

    @staticmethod
    def _step_name(task: Task) -> tuple[str, ...]:
        """Give the name under which a step of the recipe is known in any of its rounds."""
        return (task.planned.step,) if task.parent is None else ()

    def _is_needless(self, task: Task) -> bool:
        """Tell whether it is there for a failure within its used recipe, and there was none."""
        if not task.frame.is_used or task.planned.node.phase is not Phase.ON_FAILURE:
            return False
        if task.parent is None or task.parent in self._given_up:
            return False
        return not self._board.lost_below(task.parent, before=Phase.ON_FAILURE)

    def _limit(self, task: Task) -> None:
        """Take the time of the recipe that a task uses, where that may take so much and no more."""
        timeout_sec = _limit_sec(task)
        if timeout_sec is not None:
            self._limits[task.position] = monotonic() + timeout_sec

    def _merge_rest(self, frame: Frame) -> bool:
        """Share what nobody waited for; False where that brought a conflict to light, and with it a failure."""
        merged = frame.merge.at_end()
        frame.context.apply(merged.shared)
        if merged.conflict:
            self._refuse_writes(merged.conflict)
        return merged.conflict is None

    def _go_round(self, group: Task | None = None) -> None:
        """Begin another round of the steps, or end them where the recipe says so or has no more rounds."""
        frame, number = (self._root, self._round) if group is None else self._rounds[group.position]
        rule, problem = frame.loaded.recipe.repeat, ""
        try:
            is_done = rule is None or evaluate_condition(rule.until, frame.scope)
        except ExpressionError as error:
            is_done, problem = True, f"repeat.until: {error.message}"
        if rule and not is_done and number < rule.max:
            self._begin_round(number + 1, group)
            return
        if rule and not is_done:
            problem = f"repeat.until is still false after {rule.max} round{'' if rule.max == 1 else 's'}"
        if problem and group is None:
            self._loop_problem = Problem("MS309", problem, frame.loaded.source.place(("repeat", "until")))
            self._board.stop_steps(problem)
        elif problem and group is not None:
            self._given_up[group.position] = problem
        self._board.end_rounds(None if group is None else group.position)

    def _begin_round(self, number: int, group: Task | None = None) -> None:
        """Add the steps once more; they see the round's number and all that was written before."""
        frame = self._root if group is None else self._frames[group.position]
        planned = [task for task in frame.planned if task.node.phase is Phase.STEPS] if number > 1 else []
        first, change = add_round(
            self._database, number, [task.to_json() for task in planned], within=group.task_id if group else ""
        )
        frame.context.apply([change])
        if group is None:
            self._round = number
            tasks = [root_task(first + task.position, task, frame, number) for task in planned]
        else:
            self._rounds[group.position] = (frame, number)
            names = {task.step: f"{group.prefix}{round_id(task.step, number)}" for task in planned}
            tasks = [group.step_task(first + task.position, names[task.step], task, frame, number) for task in planned]
        self._tasks += tasks
        self._board.add_round([task.node for task in tasks], None if group is None else group.position)
        add_to_merge(tasks, set())
        for task in tasks:
            if task.planned.left_out:
                self._settle_task(task, TaskState.SKIPPED)
        self._report_added(
            "" if group is None else group.task_id, [task for task in tasks if not task.planned.left_out]
        )

    def _refuse_writes(self, conflict: Conflict) -> None:
        """Fail the later of two tasks that wrote one key side by side."""
        task, first = self._tasks[conflict.second], self._tasks[conflict.first]
        reason = f"wrote {conflict.key!r}, which {first.task_id} beside it wrote too"
        refuse_writes(self._database, task.task_id, reason)
        task.frame.merge.refused(task.position)
        hint = "let one depend on the other, write two keys, or set 'on_conflict: last_write_wins'"
        place = task.frame.loaded.place(task.planned.step, "name")
        self._settle_task(task, TaskState.FAILED)
        self._report(
            TaskEnded(
                position=self._place_of(task),
                task_id=task.task_id,
                status=TaskState.FAILED,
                reason=reason,
                allowed=task.planned.node.allow_failure,
                problem=Problem("MS308", f"{task.task_id}: {reason}", place, hint),
            )
        )

    def _fan_out(self, task: Task, scope: Scope) -> None:
        """Turn a fan-out into its tasks."""
        fan, planned = task.planned.fan, task.planned
        key = "when"
        try:
            if planned.when and not planned.when_sees_item and not evaluate_condition(planned.when, scope):
                self._skip(task, f"when: {planned.when} is false")
                return
            key = "matrix" if fan and fan.matrix else "foreach"
            items = [(name, dumps(item, name)) for name, item in fan_out(fan, scope)] if fan else []
        except (ExpressionError, NotJsonSafeError) as error:
            self._refuse(task, error, key, task.frame.context)
            return
        first = expand_task(self._database, task.task_id, items)
        tasks = [task.item_task(first + index, name, text) for index, (name, text) in enumerate(items)]
        self._tasks += tasks
        self._board.expanded(task.position, nodes_of(tasks))
        self._report_added(task.task_id, tasks)

    def _enter(self, task: Task, scope: Scope) -> None:
        """Begin the recipe that a step uses, or the workflow that was planned: its steps become tasks, in a frame."""
        planned = task.planned
        key = "when"
        try:
            if planned.when and not evaluate_condition(planned.when, scope):
                self._skip(task, f"when: {planned.when} is false")
                return
            key = "args" if planned.tasks_from is None else "tasks"
            inputs = self._inputs_of(task, scope)
            if inputs == {"tasks": []}:
                self._skip(task, "there are no tasks")
                return
            sub = part_of(planned, inputs, task.frame.project)
            if sub is None:
                return
            self._check_wired(sub)
            names = self._names(task, sub)
            key = "uses"
            frame = sub_frame(sub, inputs, self._root.names, self._means.secrets)
        except (ExpressionError, UsageError, InvalidFileError) as error:
            self._refuse(task, error, key, task.frame.context)
            return
        first = use_recipe(self._database, task.task_id, inputs, [step.to_json() for step in sub.tasks], names)
        number = 1 if task.prefix else task.round
        tasks = [
            task.step_task(first + step.position, name, step, frame, number)
            for name, step in zip(names, sub.tasks, strict=True)
        ]
        self._limit(task)
        self._frames[task.position] = frame
        self._rounds[task.position] = (frame, 1)
        if sub.loaded.recipe.repeat:
            frame.context.apply([Change(ROUND_KEY, "1", "repeat")])
        self._tasks += tasks
        self._board.expanded(task.position, nodes_of(tasks))
        add_to_merge(tasks, set())
        self._report_added(task.task_id, tasks)

    def _inputs_of(self, task: Task, scope: Scope) -> dict[str, JsonValue]:
        """Give the inputs of the recipe that a step uses; of a workflow, the tasks that were planned."""
        planned, sub = task.planned, task.planned.sub
        if sub is not None:
            args = resolve(planned.args, scope)
            return settle_inputs(sub.loaded.recipe.inputs, args, sub.project)  # type: ignore[arg-type]
        tasks = resolve(planned.tasks_from, scope)
        if not isinstance(tasks, list) or not all(isinstance(one, dict) for one in tasks):
            raise ExpressionError("expected a list of steps", hint="as in: [{name: a, type: shell, run: [date]}]")
        return {"tasks": tasks}

    def _names(self, task: Task, sub: SubRecipe) -> list[str]:
        """Name the tasks that a task becomes.

        What was planned keeps its name, with the round where a task of an earlier one has it; one of the same round is
        refused. Which of two workflows began first does not count.
        """
        if task.prefix:
            return [f"{task.prefix}{step.step}" for step in sub.tasks]
        beside = {other.planned.step.lower() for other in self._tasks if other.round == task.round and _is_named(other)}
        for step in sub.tasks:
            if step.step.lower() in beside:
                raise UsageError(f"there is a task {step.step!r} already", hint="give the planned task another name")
        taken = {other.task_id.lower() for other in self._tasks}
        return [round_id(step.step, task.round if step.step.lower() in taken else 1) for step in sub.tasks]

    def _check_wired(self, sub: SubRecipe) -> None:
        """Refuse tasks that were planned for operators which there are not."""
        known = {key for key, wired in self._means.operators.items() if not wired.is_idle}
        for step in sub.tasks:
            if step.away and step.away.operator_key not in known:
                message = f"{step.step}: there is no operator {step.away.operator_key!r}"
                raise UsageError(message, hint=f"there are: {', '.join(sorted(known))}", code="MS214")

    def _collect(self, task: Task) -> None:
        """End a group whose tasks have ended."""
        state, reason, changes = TaskState.COMPLETED, "", None
        counts = self._board.counts_below(task.position)
        lost = counts[TaskState.FAILED] + counts[TaskState.BLOCKED]
        problem = None
        self._limits.pop(task.position, None)
        if not task.is_fan:
            lost = self._board.lost_below(task.position)
        if task.is_fan:
            reason = f"{lost} of {counts.total()} items failed or were not started" if lost else ""
            state = TaskState.FAILED if lost and not task.planned.node.allow_failure else state
        elif self._merge_rest(frame := self._frames[task.position]) and not (lost or task.position in self._given_up):
            try:
                changes = frame_outputs(frame, task.planned)
            except (ExpressionError, NotJsonSafeError) as error:
                state, reason, changes = TaskState.FAILED, str(error), ()
                problem = Problem(
                    error.code, f"{task.task_id}: {error.message}", frame.loaded.source.place(("outputs",))
                )
        else:
            lost = max(lost, 1)
            said = f"{lost} of its {counts.total()} steps failed or were not started"
            state, reason = TaskState.FAILED, self._given_up.get(task.position, said)
        self._end_group(task, state, reason, changes, problem)

    def _end_group(
        self, task: Task, state: TaskState, reason: str, changes: tuple[Change, ...] | None, problem: Problem | None
    ) -> None:
        try:
            written = collect_task(self._database, task.task_id, state, reason, changes)
        except NotJsonSafeError as error:
            state, reason = TaskState.FAILED, error.message
            written = collect_task(self._database, task.task_id, state, reason, ())
        if state is TaskState.COMPLETED and task.item is None:
            task.frame.merge.ended(task.position, written)
        self._settle_task(task, state)
        self._report(
            TaskEnded(
                position=self._place_of(task),
                task_id=task.task_id,
                status=state,
                reason=reason,
                outputs=tuple(change.key for change in written),
                allowed=task.planned.node.allow_failure,
                problem=problem,
            )
        )

    def _wait(self) -> None:
        """Wait until there is something to record or to start."""
        while not (self._ended or self._errands.has_news or self._heed()):
            if not self._running and self._wake_at is None and not self._stopping:
                message = "nothing runs and nothing is due, but the run has not settled"
                raise AssertionError(message)
            self._interrupt()
            is_over = self._end_overdue()
            self._ended += self._pool.wait(0.0 if is_over or self._ended else self._patience())
            self._ended += self._errands.look(self._running)
            is_due = self._wake_at is not None and monotonic() >= self._wake_at
            if self._stopping or self._expired or is_over or is_due:
                return

    def _end_overdue(self) -> bool:
        """End the steps of used recipes that have taken too long; tell whether there are such recipes."""
        over = [group for group, at in self._limits.items() if monotonic() >= at]
        for group in over:
            del self._limits[group]
            if self._board.has_open_steps(group):
                task = self._tasks[group]
                self._given_up[group] = f"{task.task_id} took more than {_limit_sec(task):g} seconds"
                self._board.stop_below(group, self._given_up[group])
                self._cancel(f"timeout of {task.task_id}", self._is_overdue)
                spare = {key for key, running in self._running.items() if not self._is_overdue(running.task)}
                self._pool.interrupt(f"timeout of {task.task_id}", spare=spare)
        return bool(over)

    def _is_overdue(self, task: Task) -> bool:
        """Tell whether a task belongs to a used recipe that has taken too long, and not to what that does last."""
        above = task
        while above.parent is not None:
            above = self._tasks[above.parent]
            if above.position in self._given_up:
                return task.closes <= above.closes
        return False

    def _interrupt(self) -> None:
        """End what runs where the run was stopped or has taken too long; what is done last goes on."""
        if self._deadline is not None and monotonic() >= self._deadline:
            self._deadline, self._expired = None, True
            self._board.stop_steps(f"the run took more than {self._plan.recipe.timeout:g} seconds")
        if self._stopping is signal.SIGKILL:
            self._pool.interrupt(INTERRUPTED, number=signal.SIGKILL)
        elif self._stopping or self._expired:
            fault = INTERRUPTED if self._stopping else "timeout of the whole run"
            phase = Phase.FINALLY if self._stopping else Phase.ON_FAILURE
            last = {key for key, running in self._running.items() if running.task.part >= phase}
            if not self._stopping:  # else they go on for the next runner: the next tick sets them aside
                self._cancel(fault, lambda task: task.part < phase)
            self._pool.interrupt(fault, spare=last)

    def _patience(self) -> float:
        is_looking = self._once and bool(self._errands.assignments)
        looks_at = monotonic() + (_LOOKS_EVERY_SEC / 5 if is_looking else _LOOKS_EVERY_SEC)
        times = [at for at in (looks_at, self._wake_at, self._deadline, *self._limits.values()) if at is not None]
        return max(0.0, min(times) - monotonic())

    def _open(self, task: Task, scope: Scope, seen: Context, hidden: tuple[Change, ...]) -> Call | None:
        """Evaluate a task's condition and arguments and record the intent; None where there is nothing to run."""
        planned = task.planned
        key = "when"
        try:
            if planned.when and not evaluate_condition(planned.when, scope):
                self._skip(task, f"when: {planned.when} is false")
                return None
            if planned.file:
                check_unchanged(planned.file)
            key = "args"
            params = resolve(planned.args, scope)
            key = "env"
            env = resolve(planned.env, scope)
            key = "cache"
            depends = self._reuse.key(planned, scope, params, env) if task.part is Phase.STEPS else None
            key = "files"
            work = self._work(task, scope, seen, environment_of(env)) if planned.away else None
        except (ExpressionError, ScriptletError) as error:
            self._refuse(task, error, key, seen)
            return None
        if self._means.stubs and (stub := self._means.stubs.find(task.task_id)):
            self._answer_for(task, stub, params, seen)
            return None
        if depends and self._take_over(task, seen, params, depends):
            return None
        attempt_id = self._open_attempt(task, params, seen, depends, _operator_key(planned), work)
        environment = environment_of(env)
        if work is not None or not isinstance(planned.target, PythonCall | CommandCall):
            index = self._running[attempt_id].attempt_index
            self._errands.prepare(read_attempt(self._database, task.position, index), environment)
            return None
        return Call(
            attempt_id=attempt_id,
            step=planned.step,
            target=planned.target,
            params=params,  # type: ignore[arg-type]
            env=environment,
            timeout_sec=planned.timeout_sec,
            hidden=(*hidden, *records_for(task, self._database)),
        )

    def _answer_for(self, task: Task, stub: Stub, params: JsonValue, seen: Context) -> None:
        """Let a stub answer instead of the step; its attempt is opened and closed at once."""
        attempt_id = self._open_attempt(task, params, seen, operator_key=STUB)
        running, planned = self._running[attempt_id], task.planned
        envelope, exit_code, changes = stub.answer(
            planned.step, running.attempt_index, exit_code=planned.rules.exit_code
        )
        stdout = "" if planned.free_stdout else envelope.line()
        stderr = envelope.reason if planned.free_stdout else ""
        done = Done(attempt_id=attempt_id, exit_code=exit_code, stdout=stdout, stderr=stderr, changes=changes)
        self._close(done, given=frozenset(stub.outputs), outcome="stubbed")

    def _take_over(self, task: Task, seen: Context, params: JsonValue, key: CacheKey) -> bool:
        """Take over a former result, where there is one that still is a success."""
        found = self._reuse.find(task.task_id, key)
        if found is None:
            return False
        done = Done(attempt_id="", exit_code=task.planned.rules.exit_code, stdout=found.stdout, changes=found.writes)
        verdict = self._judge.verdict(task, seen, done)
        if verdict.status is not AttemptState.COMPLETED:
            return False
        done = dataclasses.replace(done, attempt_id=self._open_attempt(task, params, seen))
        self._succeed(self._running[done.attempt_id], done, verdict, outcome=f"{CACHED} from run {found.run_id}")
        return True

    def _keep(self, running: _Running, key: CacheKey, done: Done, verdict: Verdict) -> None:
        """Keep a result for later runs, when it is durable in this one."""
        after = running.seen.fork_hiding(verdict.changes)
        task = running.task
        result = self._reuse.result(task.task_id, task.planned, key, done, task.scope(after))
        self._news.append(lambda: self._reuse.keep(result))

    def _open_attempt(
        self,
        task: Task,
        params: JsonValue,
        seen: Context,
        key: CacheKey | None = None,
        operator_key: str = OPERATOR_KEY,
        work: Mapping[str, Any] | None = None,
    ) -> str:
        outputs = happen(
            "task.ready",
            {
                "run_root": self._run_root,
                "task_id": task.task_id,
                "params": params,
                "operator_key": operator_key,
                **({} if work is None else {"work": work}),
            },
        )
        attempt_id: str = outputs["_attempt.opened_v1"]["attempt_id"]
        index: int = outputs["_attempt.opened_v1"]["attempt_index"]
        self._running[attempt_id] = _Running(
            task=task,
            attempt_index=index,
            seen=seen,
            key=key,
            is_stubbed=operator_key == STUB,
            folder=None if work is None else self._database.run_root / attempt_path(task.task_id, attempt_id),
        )
        self._board.started(task.position)
        started = TaskStarted(position=self._place_of(task), task_id=task.task_id, attempt_index=index)
        self._news.append(lambda: self._reporter.tell(started))
        return attempt_id

    def _run(self, call: Call) -> None:
        """Run a call now, in this process, or hand it to a worker."""
        running = self._running[call.attempt_id]
        planned = running.task.planned
        is_inline = self._means.inline if not planned.isolation else planned.isolation == "inline"
        if not is_inline or planned.needs_process or not isinstance(call.target, PythonCall):
            self._pool.start(call)
            return
        self._in_step = True
        try:
            self._ended.append(run_inline(call, call.target, self._root.context))
        except KeyboardInterrupt:
            self._stopping = signal.SIGINT
            self._ended.append(Done(attempt_id=call.attempt_id, exit_code=None, fault=INTERRUPTED))
        finally:
            self._in_step = False

    def _work(self, task: Task, scope: Scope, seen: Context, env: Mapping[str, str]) -> dict[str, Any]:
        """Give what the operator of a step has to know."""
        from orchestrator.operators.orders import Surroundings, work_of  # noqa: PLC0415  slow, and few runs need it

        away = task.planned.away
        if away is None:
            return {}
        around = Surroundings(
            run_root=self._database.run_root,
            project=task.frame.project,
            scope=scope,
            seen=seen,
            env=env,
            failures=self._board.failures(task.position),
            is_secret=self._means.masker.finds,
        )
        return work_of(task.planned, away, self._means.operators[away.operator_key], around)

    def _adopt(self) -> None:
        """Take over the attempts that operators have, or were about to get, from an earlier runner."""
        positions = {task.task_id: task.position for task in self._tasks}
        for row in read_open_attempts(self._database):
            task = self._tasks[positions[row.task_id]]
            merged = task.merged()
            task.frame.context.apply(merged.shared)
            seen = task.frame.context.fork_hiding(merged.hidden)
            folder = self._database.run_root / str(row.relative_path)
            self._running[row.attempt_id] = _Running(
                task=task, attempt_index=row.attempt_index, seen=seen, folder=folder
            )
            self._board.adopted(task.position)
            self._errands.adopt(row, environment_of(resolve(task.planned.env, task.scope(seen))))

    def _note(self, sighting: Sighting) -> None:
        """Record where an attempt stands that an operator has."""
        running = self._running[sighting.attempt_id]
        if sighting.state is AttemptState.FAILED_INIT:
            self._not_begun(running, sighting)
            return
        self._errands.record(running.task.task_id, sighting)
        if sighting.state is AttemptState.WAITING_EXTERNAL:
            self._tell_of_waiting(running.task, sighting)

    def _tell_of_waiting(self, task: Task, sighting: Sighting) -> None:
        todo = sighting.note or "waits for a result in the attempt's directory"
        if task.planned.kind == "human":
            todo = f"answer with: matterstack respond {self._database.run_root.name} {shlex.quote(task.task_id)}"
        waiting = TaskWaiting(position=self._place_of(task), task_id=task.task_id, todo=todo)
        self._news.append(lambda: self._reporter.tell(waiting))

    def _not_begun(self, running: _Running, sighting: Sighting) -> None:
        """Record an attempt that an operator could not begin."""
        failing = Failing(code="MS601", reason=sighting.note, rule="operator")
        at = self._board.retry_at(running.task.position, "error", monotonic())
        state = TaskState.FAILED if at is None else TaskState.PENDING
        done = Done(attempt_id=sighting.attempt_id, exit_code=None)
        self._conclude(done, sighting.state, state, outcome="not begun", failing=failing, at=at)

    def _cancel(self, fault: str, is_needless: Callable[[Task], bool]) -> None:
        """Ask operators to end attempts that nobody needs any more."""
        self._errands.cancel(fault, lambda attempt_id: is_needless(self._running[attempt_id].task))

    def _part_with_operators(self) -> None:
        """Let what operators have go on for the next runner where this one stops; a run that is cancelled ends it."""
        if self.asked and self.asked.wish is Wish.CANCEL:
            self._cancel(INTERRUPTED, lambda task: task.part < Phase.FINALLY)
            self._cancel(self.asked.told, lambda task: task.planned.kind == "human")
        elif self._stopping or self._is_pausing:
            self._set_aside()

    def _set_aside(self) -> None:
        """Let attempts that operators have go on for the next runner."""
        for attempt_id in [*self._errands.assignments]:
            self._board.set_aside(self._running.pop(attempt_id).task.position)
        self._errands.leave()

    def _only_waits(self) -> bool:
        """Tell whether nothing is under way but what operators have."""
        is_due = self._wake_at is not None and self._wake_at <= monotonic()
        is_busy = is_due or bool(self._ended) or self._errands.has_news
        return bool(self._running) and self._running.keys() == self._errands.assignments.keys() and not is_busy

    def _skip(self, task: Task, reason: str) -> None:
        set_task_states(self._database, [task.task_id], TaskState.SKIPPED, reason)
        self._settle_task(task, TaskState.SKIPPED)
        self._tell_end(task, TaskState.SKIPPED, reason)

    def _block(self, blocked: tuple[tuple[int, str], ...]) -> None:
        for reason, group in groupby(blocked, key=itemgetter(1)):
            tasks = [self._tasks[position] for position, _ in group]
            set_task_states(self._database, [task.task_id for task in tasks], TaskState.BLOCKED, reason)
            for task in tasks:
                self._remember(task, TaskState.BLOCKED)
                self._tell_end(task, TaskState.BLOCKED, reason)

    def _tell_end(self, task: Task, state: TaskState, reason: str) -> None:
        self._report(TaskEnded(position=self._place_of(task), task_id=task.task_id, status=state, reason=reason))

    def _refuse(self, task: Task, error: MatterStackError, key: str, seen: Context) -> None:
        """Record an attempt that could not even be made: ``key`` has no value, or the scriptlet's file changed."""
        attempt_id = self._open_attempt(task, {}, seen)
        outcome = "scriptlet" if isinstance(error, ScriptletError) else "expression"
        rule = key if outcome == "expression" else outcome
        reason = str(error)
        if isinstance(error, InvalidFileError):
            reason = "; ".join(problem.message for problem in error.problems)
        failing = Failing(code=error.code, reason=reason, rule=rule, detail=error.hint)
        self._conclude(
            Done(attempt_id=attempt_id, exit_code=None),
            AttemptState.FAILED_INIT,
            TaskState.FAILED,
            outcome=outcome,
            failing=failing,
        )

    def _close(self, done: Done, *, given: AbstractSet[str] = frozenset(), outcome: str = "ok") -> None:
        """Judge and record what came of a call; what is ``given`` need not be read from the step's files."""
        running = self._running[done.attempt_id]
        verdict = self._judge.verdict(running.task, running.seen, done, folder=running.folder, given=given)
        done = self._judge.masked(done, running.folder)
        if verdict.status is AttemptState.COMPLETED:
            self._succeed(running, done, verdict, outcome=verdict.outcome if done.is_rehearsed else outcome)
            if running.key:
                self._keep(running, running.key, done, verdict)
            return
        if verdict.status is AttemptState.CANCELLED and done.fault == INTERRUPTED:
            self._conclude(done, verdict.status, TaskState.PENDING, outcome=verdict.outcome, verdict=verdict)
            return
        retry_at = self._retry_at(running.task, verdict)
        state = TaskState.FAILED if retry_at is None else TaskState.PENDING
        self._conclude(
            done, verdict.status, state, outcome=verdict.outcome, verdict=verdict, failing=verdict.failing, at=retry_at
        )

    def _retry_at(self, task: Task, verdict: Verdict) -> float | None:
        """Say when a task is attempted again after a failure, or after its attempt was lost; None where it is not."""
        if self._expired or self._is_overdue(task):
            return None
        if verdict.status is not AttemptState.LOST:
            return self._board.retry_at(task.position, verdict.cause, monotonic())
        delay_sec = self._errands.delay_after_loss(task.position)
        return None if delay_sec is None else monotonic() + delay_sec

    def _succeed(self, running: _Running, done: Done, verdict: Verdict, *, outcome: str) -> None:
        if running.task.item is None:
            running.task.frame.merge.ended(running.task.position, verdict.changes)
        self._conclude(done, verdict.status, TaskState.COMPLETED, outcome=outcome, verdict=verdict)

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
                "collected": collected(done) if running.folder and status is not AttemptState.FAILED_INIT else None,
                **recorded(done, verdict, keep_stdout=running.task.planned.free_stdout or failing is not None),
            },
        )
        if state is TaskState.PENDING:
            self._board.again(running.task.position, monotonic() if at is None else at)
        else:
            self._settle_task(running.task, state)
        problem = self._problem(running.task, failing)
        place = self._place_of(running.task)
        self._report(_ending(running, done, state, verdict, failing, problem, at, outcome=outcome, place=place))

    def _place_of(self, task: Task) -> int:
        """Give the place in the recipe of the step that a task belongs to, also from within a used recipe."""
        while task.parent is not None:
            task = self._tasks[task.parent]
        return task.planned.position

    def _settle_task(self, task: Task, state: TaskState) -> None:
        self._board.ended(task.position, state)
        self._remember(task, state)

    def _remember(self, task: Task, state: TaskState) -> None:
        """Let expressions see what became of a step."""
        if task.item is None:
            steps: dict[str, Any] = task.frame.names["steps"]  # type: ignore[assignment]
            steps[task.planned.step] = {"status": state.value}

    def _problem(self, task: Task, failing: Failing | None) -> Problem | None:
        """Point at the line of the recipe that a failure belongs to."""
        if failing is None:
            return None
        within = _PLACES.get(failing.rule, ("name",))
        place = task.frame.loaded.place(task.planned.step, *within, failing.index)
        detail = "" if failing.detail in failing.reason or failing.rule == "exit_code" else failing.detail
        return Problem(failing.code, f"{task.task_id}: {failing.reason}", place, detail)

    def _report(self, ending: TaskEnded) -> None:
        self._news.append(lambda: self._reporter.tell(ending))

    def _report_added(self, parent: str, tasks: list[Task]) -> None:
        added = TasksAdded(parent=parent, task_ids=tuple(task.task_id for task in tasks))
        self._news.append(lambda: self._reporter.tell(added))

    def _tell(self) -> None:
        news, self._news = self._news, []
        for tell in news:
            tell()

    def _first_failure(self) -> str:
        return self._tasks[self._board.failed[0]].task_id if self._board.failed else ""


def _operator_key(planned: PlannedTask) -> str:
    return planned.away.operator_key if planned.away else OPERATOR_KEY


def _is_named(task: Task) -> bool:
    """Tell whether a task has the name of its step, and not one within the task that it is a part of."""
    return task.item is None and "/" not in task.task_id


def _is_needless_question(task: Task) -> bool:
    """Tell whether people need not answer any more where no further step is started."""
    return task.planned.kind == "human" and task.closes is Phase.STEPS and task.part is Phase.STEPS


def _ending(
    running: _Running,
    done: Done,
    state: TaskState,
    verdict: Verdict | None,
    failing: Failing | None,
    problem: Problem | None,
    at: float | None,
    *,
    outcome: str,
    place: int,
) -> TaskEnded:
    kept = verdict.changes if verdict and state is TaskState.COMPLETED else ()
    return TaskEnded(
        position=place,
        task_id=running.task.task_id,
        status=state,
        reason=failing.reason if failing else (INTERRUPTED if done.fault == INTERRUPTED else ""),
        cached=outcome.startswith(CACHED),
        stubbed=running.is_stubbed,
        duration_sec=done.duration_sec,
        outputs=tuple(dict.fromkeys(change.key for change in kept)),
        attempt_index=running.attempt_index,
        retry_in_sec=None if at is None else max(0.0, at - monotonic()),
        allowed=running.task.planned.node.allow_failure,
        stderr=done.stderr if problem else "",
        began=verdict is not None,
        problem=problem,
    )


def _limit_sec(task: Task) -> float | None:
    """Give the seconds that the steps of the recipe which a task uses may take: the lesser of the two that say so."""
    own = task.planned.sub.loaded.recipe.timeout if task.planned.sub else None
    return min((limit for limit in (task.planned.timeout_sec, own) if limit is not None), default=None)
