"""Follow the attempts that operators have: take them over, note where they stand, end them, or leave them."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from orchestrator.driver.attempts import Attempts
from orchestrator.driver.run import Run, Running
from orchestrator.errands import Errands
from orchestrator.expressions import resolve
from orchestrator.frames import Task
from orchestrator.judging import environment_of
from orchestrator.operators.assignments import Sighting
from orchestrator.operators.instruments.waiting import waits_for
from orchestrator.progress import TaskSeen, TaskWaiting
from orchestrator.states import AttemptState
from orchestrator.store.queries import AttemptRow, read_open_attempts


class Routed:
    """The attempts of one run that operators have."""

    def __init__(self, run: Run, errands: Errands, attempts: Attempts) -> None:
        self._run = run
        self._errands = errands
        self._attempts = attempts

    def adopt(self) -> None:
        """Take over the attempts that operators have, or were about to get, from an earlier runner."""
        positions = {task.task_id: task.position for task in self._run.tasks}
        for row in read_open_attempts(self._run.database):
            self._adopt(row, self._run.tasks[positions[row.task_id]])

    def _adopt(self, row: AttemptRow, task: Task) -> None:
        merged = task.merged()
        task.frame.context.apply(merged.shared)
        seen = task.frame.context.fork_hiding(merged.hidden)
        folder = self._run.database.run_root / str(row.relative_path)
        self._run.running[row.attempt_id] = Running(
            task=task, attempt_index=row.attempt_index, seen=seen, folder=folder
        )
        self._run.board.adopted(task.position)
        self._errands.adopt(row, environment_of(resolve(task.planned.env, task.scope(seen))))

    def note_news(self) -> None:
        """Record where attempts stand of which operators have seen something."""
        for sighting in self._errands.take_news():
            if sighting.remark:
                self._run.news.tell(sighting.remark)
                continue
            if sighting.state is AttemptState.FAILED_INIT:
                self._attempts.not_begun(sighting)
                continue
            task = self._run.running[sighting.attempt_id].task
            self._errands.record(task.task_id, sighting)
            self._run.news.tell(TaskSeen(task_id=task.task_id, state=sighting.state, note=sighting.note))
            if sighting.state is AttemptState.WAITING_EXTERNAL:
                self._tell_of_waiting(task, sighting)

    def cancel(self, fault: str, is_needless: Callable[[Task], bool]) -> None:
        """Ask operators to end attempts that nobody needs any more."""
        self._errands.cancel(fault, lambda attempt_id: is_needless(self._run.running[attempt_id].task))

    def set_aside(self) -> None:
        """Let attempts that operators have go on for the next runner.

        What a recipe does last waits for them, as it may end what they need; an open question needs nothing.
        """
        for attempt_id, assignment in [*self._errands.assignments.items()]:
            task = self._run.running.pop(attempt_id).task
            if assignment.is_question:
                self._run.board.set_aside(task.position)
        self._errands.leave()

    def _tell_of_waiting(self, task: Task, sighting: Sighting) -> None:
        key = task.planned.away.operator_key if task.planned.away else ""
        todo = sighting.note or waits_for(self._run.means.operators.get(key))
        if task.planned.kind == "human":
            command = f"matterstack respond {self._run.database.run_root.name} {shlex.quote(task.task_id)}"
            todo = f"{sighting.note}; answer with: {command}" if sighting.note else f"answer with: {command}"
        self._run.news.tell(TaskWaiting(position=self._run.place_of(task), task_id=task.task_id, todo=todo))
