"""Heed what keeps a run from going on: signals, requests, places to pause at, and time that has run out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from orchestrator.driver.limits import Limits
from orchestrator.driver.routed import Routed
from orchestrator.driver.run import Run
from orchestrator.errands import Errands
from orchestrator.frames import Task
from orchestrator.nodes import Phase
from orchestrator.outcomes import INTERRUPTED
from orchestrator.store.requests import Request, Wish
from orchestrator.workers.calls import Done


class Stops:
    """What stops one run or makes it pause; ``asked`` is what somebody asked of it, ``paused_at`` a task's id.

    With ``leaves_out_last``, nothing more is started in a run that is cancelled.
    """

    def __init__(
        self,
        run: Run,
        errands: Errands,
        routed: Routed,
        limits: Limits,
        *,
        break_at: Sequence[str],
        leaves_out_last: bool,
    ) -> None:
        self._run = run
        self._errands = errands
        self._routed = routed
        self._limits = limits
        self._pool = run.means.pool
        self._break_at = frozenset(break_at)
        self._leaves_out_last = leaves_out_last
        self._signal: signal.Signals | None = None
        self._in_step = False
        self._is_broken_off = False
        self.asked: Request | None = None
        self.paused_at = ""

    @property
    def is_stopped(self) -> bool:
        """Tell whether no further step is to be started."""
        return self._signal is not None

    @property
    def is_killed(self) -> bool:
        """Tell whether nothing more is to be started, also not what the recipe does last."""
        return self._signal is signal.SIGKILL

    @property
    def is_pausing(self) -> bool:
        """Tell whether nothing more is to be started until somebody resumes the run."""
        return bool(self.paused_at) or (self.asked is not None and self.asked.wish is Wish.PAUSE)

    def stop(self, *, kill: bool = False) -> None:
        """Start no further step and ask those that run to end, then run what the recipe does last; or kill all.

        Safe in a signal handler. A cancellation under way is broken off: what operators do not end now goes on, for who
        cancels the run again.
        """
        self._is_broken_off = True
        self._halt(kill=kill)

    def _halt(self, *, kill: bool) -> None:
        self._signal = signal.SIGKILL if kill else signal.SIGTERM
        self._pool.wake()
        if self._in_step:
            raise KeyboardInterrupt

    def in_step(self, step: Callable[[], Done]) -> Done | None:
        """Run a step in this very process; None where a signal broke into it."""
        self._in_step = True
        try:
            return step()
        except KeyboardInterrupt:
            self._signal = signal.SIGINT
            return None
        finally:
            self._in_step = False

    def pauses_before(self, task: Task) -> bool:
        """Tell whether the run pauses instead of beginning a task."""
        names = (task.task_id, task.planned.step) if task.parent is None else (task.task_id,)
        if self.paused_at or self._break_at.intersection(names):
            self.paused_at = self.paused_at or task.task_id
        return bool(self.paused_at)

    def heed(self) -> bool:
        """Do what others ask of the run meanwhile; tell whether they asked for anything."""
        requests = self._run.means.inbox.fresh()
        for request in requests:
            if request.wish is Wish.CANCEL_ATTEMPT:
                self._cancel_attempt(request)
            elif self.asked is None or (request.wish is Wish.CANCEL and self.is_pausing):
                self.asked = request
        if self._is_cancelled and not self._signal:
            self.paused_at = ""
            self._halt(kill=self._leaves_out_last)
        return bool(requests)

    def hold_back(self) -> None:
        """Keep the board from starting what is not to be started, and leave or end what operators have."""
        if self._signal:
            self._run.board.halt()
        if self.asked and self._is_cancelled and not self._is_broken_off:
            self._routed.cancel(INTERRUPTED, lambda task: task.part < Phase.FINALLY or self._leaves_out_last)
            self._routed.cancel(self.asked.told, lambda task: task.planned.kind == "human")
        elif self._signal or self.is_pausing:
            self._routed.set_aside()

    def end_needless_questions(self) -> None:
        """Ask no more of people where no further step is started."""
        if self._run.board.is_stopping:
            self._routed.cancel(INTERRUPTED, _is_needless_question)

    def interrupt(self) -> None:
        """End what runs where the run was stopped or has taken too long; what is done last goes on."""
        self._limits.expire()
        if self.is_killed:
            self._pool.interrupt(INTERRUPTED, number=signal.SIGKILL)
        elif self._signal:  # what operators have goes on for the next runner: the next tick sets it aside
            self._interrupt(INTERRUPTED, lambda task: task.part < Phase.FINALLY)
        elif self._limits.has_expired:
            self._end("timeout of the whole run", lambda task: task.part < Phase.ON_FAILURE)

    def end_overdue(self) -> bool:
        """End the steps of used recipes that have taken too long; tell whether there are such recipes."""
        over = self._limits.take_overdue()
        for task in over:
            if self._run.board.has_open_steps(task.position):
                self._limits.give_up(task)
                self._end(f"timeout of {task.task_id}", self._limits.is_overdue)
        return bool(over)

    @property
    def _is_cancelled(self) -> bool:
        return self.asked is not None and self.asked.wish is Wish.CANCEL

    def _cancel_attempt(self, request: Request) -> None:
        """End one attempt that is under way; its task goes on by its rules."""
        if request.attempt_id in self._errands.assignments:
            self._errands.cancel(request.told, lambda one: one == request.attempt_id)
        elif request.attempt_id in self._run.running:
            self._pool.interrupt(request.told, spare=self._run.running.keys() - {request.attempt_id})

    def _end(self, fault: str, is_needless: Callable[[Task], bool]) -> None:
        self._routed.cancel(fault, is_needless)
        self._interrupt(fault, is_needless)

    def _interrupt(self, fault: str, is_needless: Callable[[Task], bool]) -> None:
        spare = {key for key, running in self._run.running.items() if not is_needless(running.task)}
        self._pool.interrupt(fault, spare=spare)


def _is_needless_question(task: Task) -> bool:
    """Tell whether people need not answer any more where no further step is started."""
    return task.planned.kind == "human" and task.closes is Phase.STEPS and task.part is Phase.STEPS
