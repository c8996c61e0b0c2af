"""Ask the board of a run what is due, record the intent, run it, and record what came of it, until there is no more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orchestrator.clock import monotonic
from orchestrator.driver.attempts import Attempts
from orchestrator.driver.budget import Budget
from orchestrator.driver.ending import Ending, ending_of
from orchestrator.driver.groups import Groups
from orchestrator.driver.holds import Holds
from orchestrator.driver.limits import Limits
from orchestrator.driver.rounds import Rounds
from orchestrator.driver.routed import Routed
from orchestrator.driver.run import Run
from orchestrator.driver.starting import Starting
from orchestrator.driver.stops import Stops
from orchestrator.engine import Due
from orchestrator.errands import Errands
from orchestrator.operators.assignments import Assignment
from orchestrator.outcomes import INTERRUPTED
from orchestrator.states import RunState
from orchestrator.store.requests import Request
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.inline import run_inline

_LOOKS_EVERY_SEC = 0.5


class Driver:
    """The loop of one run; with ``once``, it ends where only operators have something to do.

    With ``leaves_out_last``, a run that is cancelled ends without what its recipe does last.

    A tick is one transaction: it closes the attempts that ended and opens those that are due, so a chain of steps
    costs one durable commit a step. Nothing starts, and nobody is told of anything, before the commit.
    """

    def __init__(
        self, run: Run, *, break_at: Sequence[str] = (), once: bool = False, leaves_out_last: bool = False
    ) -> None:
        self._run = run
        self._once = once
        self._pool = run.means.pool
        self._errands = Errands(run.database, run.means.crew)
        self._limits = Limits(run)
        self._holds = Holds(run)
        self._rounds = Rounds(run)
        self._budget = Budget(run)
        self._attempts = Attempts(run, self._errands, self._limits, self._budget)
        self._groups = Groups(run, self._attempts, self._limits, self._rounds)
        self._routed = Routed(run, self._errands, self._attempts)
        self._stops = Stops(
            run, self._errands, self._routed, self._limits, break_at=break_at, leaves_out_last=leaves_out_last
        )
        self._starting = Starting(run, self._errands, self._attempts, self._groups, self._stops, self._budget)
        self._ended: list[Done] = []
        self._wake_at: float | None = None

    def drive(self) -> Ending:
        """Tick until the run settles or is stopped."""
        self._rounds.begin()
        self._limits.begin()
        self._budget.begin()
        self._routed.adopt()
        while True:
            settled = self._tick()
            if left := self._left(settled):
                self._run.root.context.apply(self._run.root.merge.at_end().shared)
                return left
            if settled is not None:
                problem = self._rounds.problem
                return ending_of(self._run, settled, rounds=problem, has_expired=self._limits.has_expired)
            self._wait()

    def stop(self, *, kill: bool = False) -> None:
        """Stop the run, as `Stops.stop` says."""
        self._stops.stop(kill=kill)

    @property
    def asked(self) -> Request | None:
        """Give what somebody asked of the run meanwhile."""
        return self._stops.asked

    @property
    def left_behind(self) -> tuple[Assignment, ...]:
        """Give the attempts that operators go on with when this runner has ended."""
        return self._errands.left_behind

    @property
    def has_last_to_do(self) -> bool:
        """Tell whether the run was stopped, and what its recipe does last waits for attempts that go on."""
        goes_on = any(not one.is_question for one in self.left_behind)
        has_last = any(recipe.finally_ for recipe in self._run.plan.recipes.values())
        return goes_on and has_last and self._stops.is_stopped

    @property
    def has_expired(self) -> bool:
        """Tell whether the whole run took longer than its recipe allows."""
        return self._limits.has_expired

    def _tick(self) -> RunState | None:
        calls: list[Call] = []
        self._stops.heed()
        self._holds.heed()
        self._stops.hold_back()
        with self._run.database.transaction():
            self._routed.note_news()
            ended, self._ended = self._ended, []
            for done in ended:
                self._attempts.close(done)
            settled = self._start_due(calls)
        self._run.news.go_out()
        for call in calls:
            self._call(call)
        self._errands.hand_over()
        self._stops.end_needless_questions()
        return settled

    def _start_due(self, calls: list[Call]) -> RunState | None:
        """Open what is due until nothing more is; a step that is skipped or fails at once makes the next one due."""
        while not (self._stops.is_killed or self._stops.is_pausing):
            due = self._run.board.due(monotonic(), slots=self._pool.free - len(calls))
            self._wake_at = due.wake_at
            self._do(due, calls)
            if due.settled is not None and self._run.merge_rest(self._run.root):
                return due.settled
            self._end_rounds_of(due)
            if due.settled is None and due.is_idle:
                return None
        return None

    def _do(self, due: Due, calls: list[Call]) -> None:
        """Give up, end, skip and start what the board says."""
        tasks = self._run.tasks
        self._run.block(due.block)
        for position in due.collect:
            self._groups.collect(tasks[position])
        for position, reason in due.skip:
            self._run.skip(tasks[position], reason)
        started = (self._starting.start(tasks[position]) for position in due.start)
        calls += [call for call in started if call]

    def _end_rounds_of(self, due: Due) -> None:
        """Go on where the steps of the run, or of a used recipe, have ended a round."""
        for position in due.rounds_below:
            if self._run.merge_rest(self._run.frames[position]):
                self._rounds.go_on(self._run.tasks[position])
            else:
                self._run.board.end_rounds(position)
        if due.round_is_over and self._run.merge_rest(self._run.root):
            self._rounds.go_on()

    def _call(self, call: Call) -> None:
        """Run a call now, in this process, or hand it to a worker."""
        planned = self._run.running[call.attempt_id].task.planned
        is_inline = planned.isolation == "inline" if planned.isolation else self._run.means.inline
        if not is_inline or planned.needs_process or not isinstance(call.target, PythonCall):
            self._pool.start(call)
            return
        done = self._stops.in_step(partial(run_inline, call, call.target, self._run.root.context))
        self._ended.append(done or Done(attempt_id=call.attempt_id, exit_code=None, fault=INTERRUPTED))

    def _left(self, settled: RunState | None) -> Ending | None:
        """Give the end of a drive that leaves its run unsettled: it was stopped, paused, or waits for people alone."""
        is_idle = settled is None and self._wake_at is None
        if self._stops.is_stopped and not self._run.running and (is_idle or self._stops.is_killed):
            return Ending(status=RunState.PENDING)
        if self._once:
            self._ended += self._errands.look(self._run.running)
        if self._once and self._only_waits():
            waits_for = tuple(one.task_id for one in self._errands.assignments.values()) or self._holds.keys
            self._routed.set_aside()
            return Ending(status=RunState.PENDING, step=waits_for[0], is_pause=True, waits_for=waits_for)
        if self._stops.is_pausing and not self._run.running:
            return Ending(status=RunState.PENDING, step=self._stops.paused_at, is_pause=True)
        return None

    def _only_waits(self) -> bool:
        """Tell whether nothing is under way but what operators have."""
        running = self._run.running
        is_busy = self._is_due or bool(self._ended) or self._errands.has_news
        waits = bool(running) or self._run.board.is_held_up
        return waits and running.keys() == self._errands.assignments.keys() and not is_busy

    @property
    def _has_nothing_to_do(self) -> bool:
        """Tell whether nothing runs, nothing is due, and nothing waits for somebody to resume an operator."""
        return not self._run.running and self._wake_at is None and not self._run.board.is_held_up

    @property
    def _is_due(self) -> bool:
        return self._wake_at is not None and monotonic() >= self._wake_at

    def _wait(self) -> None:
        """Wait until there is something to record or to start."""
        while not (self._ended or self._errands.has_news or self._stops.heed() or self._holds.heed()):
            if self._has_nothing_to_do and not self._stops.is_stopped:
                message = "nothing runs and nothing is due, but the run has not settled"
                raise AssertionError(message)
            self._stops.interrupt()
            is_over = self._stops.end_overdue()
            self._ended += self._pool.wait(0.0 if is_over or self._ended else self._patience())
            self._ended += self._errands.look(self._run.running)
            if self._stops.is_stopped or self._limits.has_expired or is_over or self._is_due:
                return

    def _patience(self) -> float:
        """Give the seconds for which there is nothing to do but to wait for steps to end."""
        is_looking = self._once and bool(self._errands.assignments)
        looks_at = monotonic() + (_LOOKS_EVERY_SEC / 5 if is_looking else _LOOKS_EVERY_SEC)
        wakes_at = looks_at if self._wake_at is None else self._wake_at
        return max(0.0, min(looks_at, wakes_at, *self._limits.times) - monotonic())
