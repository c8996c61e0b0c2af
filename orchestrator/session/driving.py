"""Drive one run as far as it goes: with its lease, its worker processes, its operators and its secrets."""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.context import Context
from orchestrator.driver import Driver, Means, Run
from orchestrator.engine import Board
from orchestrator.frames import Parts, Task, nodes_of
from orchestrator.operators.crew import Crew
from orchestrator.plan import Plan
from orchestrator.progress import RunBegun
from orchestrator.recall import recall, withheld
from orchestrator.reuse import Reuse
from orchestrator.secrecy import HandedOn, Masker, handing_on, read_secrets
from orchestrator.session.holding import note_lost_log
from orchestrator.session.logins import Logins
from orchestrator.session.open_attempts import Endings
from orchestrator.session.options import Again, DriveOptions
from orchestrator.session.outcome import Outcome
from orchestrator.session.settling import settle
from orchestrator.session.signals import Signals
from orchestrator.session.taking_over import take_over
from orchestrator.states import ENDED_TASKS
from orchestrator.store.cache import ResultCache
from orchestrator.store.database import Database, close_opened, opened
from orchestrator.store.leases import lost_log, take
from orchestrator.store.queries import AttemptRow, TaskRow, count_failures, read_run, read_tasks
from orchestrator.store.requests import Inbox
from orchestrator.workers.pool import WorkerPool

if TYPE_CHECKING:
    from orchestrator.operators.assignments import Operator
    from orchestrator.wiring.reading import Wired


def drive_run(run_root: Path, plan: Plan, options: DriveOptions, again: Again | None = None) -> Outcome:
    """Take the lease of a run, settle what an earlier runner left, and drive it as far as it goes.

    Raises `RunLockedError` when another runner drives it, `UsageError` (MS307) when a step changed since it began,
    and `StoreError` when its records do not hold.
    """
    database = opened(run_root)
    declared = {name: recipe.secrets for name, recipe in plan.recipes.items()}
    secrets = {name: read_secrets(recipe) for name, recipe in declared.items()}
    masker = Masker([value for values in secrets.values() for value in values.values()])
    if masker.is_needed:
        _leave_no_core()
    session = _session(database, plan, options, again, masker)
    with ExitStack() as ends:
        if options.handle_signals:
            ends.enter_context(session.signals.caught_here())
        ends.callback(close_opened, run_root)
        ends.callback(session.pool.close)
        log_missing = lost_log(database)
        ends.callback(take(database, takeover=options.takeover).release)
        session.begin(log_missing=log_missing)
        with handing_on(declared, secrets) as handed_on:
            outcome = session.drive(handed_on)
        options.deliver(outcome)
        return outcome


def _session(database: Database, plan: Plan, options: DriveOptions, again: Again | None, masker: Masker) -> _Session:
    context = Context()
    jobs = 1 if options.inline else options.jobs or plan.max_parallel
    pool = WorkerPool(context, size=jobs, folders=[str(plan.project.root)], withheld=withheld(plan))
    return _Session(
        database=database,
        plan=plan,
        options=options,
        again=again,
        masker=masker,
        context=context,
        pool=pool,
        parts=Parts(),
        signals=Signals(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wiring:
    """What operator keys mean in a run, how many attempts each may have at once, and what makes its operator."""

    operators: Mapping[str, Wired] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    hold_folders: tuple[Path, ...] = ()

    def operator(self, operator_key: str, logins: Logins) -> Operator:
        from orchestrator.operators.registry import operator_for  # noqa: PLC0415  as below

        # Of a step that was planned during the run, nobody knew before which operator it needs.
        logins.log_in([self.operators[operator_key]])
        return operator_for(self.operators[operator_key], self.withheld, self.hold_folders)


def _wiring(plan: Plan, database: Database) -> _Wiring:
    """Give the wiring of a run; nothing where no step is routed."""
    return _wiring_of(database, withheld(plan)) if plan.is_routed else _Wiring()


def _wiring_of(database: Database, withheld: frozenset[str]) -> _Wiring:
    from orchestrator.operators.registry import limits_of, wiring_of  # noqa: PLC0415  slow, and few runs need it

    wiring = wiring_of(database)
    return _Wiring(
        operators=wiring.operators,
        limits=limits_of(wiring),
        withheld=withheld,
        hold_folders=(database.run_root, _workspaces(database)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A run that is held: how it is driven, and with which workers."""

    database: Database
    plan: Plan
    options: DriveOptions
    again: Again | None
    masker: Masker
    context: Context
    pool: WorkerPool
    parts: Parts
    signals: Signals

    def begin(self, *, log_missing: bool) -> None:
        """Take the run over from its last runner."""
        # A run whose results are probably all kept needs no workers; where it does, they are started then.
        if not self.options.inline and not all(task.cache and self.options.use_cache for task in self.plan.tasks):
            self.pool.warm()
        take_over(self.database, self.plan, self.parts, self.options, self.again, self._end)
        if log_missing:
            note_lost_log(self.database, self.options.reporter)

    def _end(self, attempts: Sequence[AttemptRow], reason: str) -> None:
        """End what operators have of tasks that are to run again."""
        wiring = _wiring_of(self.database, withheld(self.plan))
        with Logins(self.options) as logins:
            Endings(
                self.database,
                partial(wiring.operator, logins=logins),
                is_interrupted=lambda: bool(self.signals.caught),
                reporter=self.options.reporter,
            ).end(attempts, reason)

    def drive(self, handed_on: HandedOn) -> Outcome:
        """Drive the run from where its records say that it is."""
        database, plan, options = self.database, self.plan, self.options
        rows = read_tasks(database)
        root, tasks = recall(
            database, plan, rows, handed_on.secrets, parts=self.parts, context=self.context, fixtures=options.fixtures
        )
        wiring = _wiring(plan, database)
        board, logins = self._board(rows, tasks, wiring), Logins(options)
        means = self._means(wiring, handed_on, logins)
        run = Run(plan, database, root=root, tasks=tasks, board=board, means=means)
        driver = Driver(run, break_at=options.break_at, once=options.once, leaves_out_last=options.leaves_out_last)
        with logins:
            self.signals.until_caught(lambda: logins.log_in(_needed(plan, wiring, tasks, board)))
            options.reporter.tell(_beginning(database, plan, rows))
            try:
                with self.signals.stopping(driver):
                    end = driver.drive()
            finally:
                means.crew.close()
        means.reuse.close()
        return settle(database, driver, self.context, options.reporter, self.signals.caught, end)

    def _board(self, rows: tuple[TaskRow, ...], tasks: list[Task], wiring: _Wiring) -> Board:
        board = Board(
            nodes_of(tasks),
            [row.status for row in rows],
            fail_fast=self.options.fail_fast,
            again=self.again is not None,
            in_rounds=self.plan.recipe.repeat is not None,
            limits=wiring.limits,
        )
        board.recall_failures(count_failures(self.database))
        return board

    def _means(self, wiring: _Wiring, handed_on: HandedOn, logins: Logins) -> Means:
        return Means(
            pool=self.pool,
            reuse=self._reuse(handed_on),
            secrets=handed_on.secrets,
            stubs=self.options.stubs,
            masker=self.masker,
            reporter=self.options.reporter,
            inline=self.options.inline,
            crew=Crew(partial(wiring.operator, logins=logins), self.pool.wake, has_threads=not self.options.once),
            operators=wiring.operators,
            inbox=Inbox(self.database),
            hold_folders=wiring.hold_folders,
        )

    def _reuse(self, handed_on: HandedOn) -> Reuse:
        again = self.again
        return Reuse(
            self.plan,
            self.database.run_root.name,
            cache=ResultCache(_workspaces(self.database)) if self.options.use_cache else None,
            masker=self.masker,
            handed_on=handed_on,
            anew=frozenset(again.task_ids) if again and again.with_items else frozenset(),
        )


def _needed(plan: Plan, wiring: _Wiring, tasks: Sequence[Task], board: Board) -> list[Wired]:
    """Give the operators that have something to do as far as that is known, each once."""
    planned = [task.planned for task in tasks if board.state(task.position) not in ENDED_TASKS]
    keys = dict.fromkeys(step.away.operator_key for step in planned if step.away)
    if any(step.sub for step in planned):
        keys |= dict.fromkeys(plan.operator_keys)
    return [wiring.operators[key] for key in keys if key in wiring.operators]


def _leave_no_core() -> None:
    """Let no process of this run leave an image of its memory, in which secrets stand."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _workspaces(database: Database) -> Path:
    """Give the root of all workspaces, above the folders of this run's."""
    depth = read_run(database).workspace_slug.count("/")
    return database.run_root.parents[2 + depth]


def _beginning(database: Database, plan: Plan, rows: tuple[TaskRow, ...]) -> RunBegun:
    selected = [pair for pair in zip(rows, plan.tasks, strict=False) if not pair[1].left_out]
    counted = [*(row for row, _ in selected), *rows[len(plan.tasks) :]]
    return RunBegun(
        run_id=database.run_root.name,
        run_root=database.run_root,
        recipe_name=Path(plan.source.name).name,
        test_id=plan.test_id,
        task_ids=tuple(task.task_id for _, task in selected),
        done_before=sum(row.status in ENDED_TASKS for row, _ in selected),
        waiting=tuple(row.task_id for row in counted if row.status not in ENDED_TASKS),
        ended=sum(row.status in ENDED_TASKS for row in counted),
    )
