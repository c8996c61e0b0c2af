"""Hold one run on its way: its tasks and their frames, where each stands, and which attempts are under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.caching import CacheKey
from orchestrator.context import Context
from orchestrator.driver.news import News
from orchestrator.engine import Board
from orchestrator.errors import Problem
from orchestrator.frames import Frame, Secrets, Task
from orchestrator.merge import Conflict
from orchestrator.operators.crew import Crew
from orchestrator.plan import Plan
from orchestrator.progress import Reporter, TaskEnded, TasksAdded
from orchestrator.reuse import Reuse
from orchestrator.secrecy import Masker
from orchestrator.states import TaskState
from orchestrator.store.database import Database
from orchestrator.store.requests import Inbox
from orchestrator.store.runs import refuse_writes, set_task_states
from orchestrator.workers.pool import WorkerPool

if TYPE_CHECKING:
    from orchestrator.stubs import Stubs
    from orchestrator.wiring.reading import Wired


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
    hold_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An attempt on its way, with what it sees of the context; one that an operator has works in its own folder."""

    task: Task
    attempt_index: int
    seen: Context
    key: CacheKey | None = None
    is_stubbed: bool = False
    folder: Path | None = None


class Run:
    """The tasks of one run, by position, and what became of them.

    ``frames`` are those of the recipes that tasks use; ``running`` holds the attempts under way by their ids;
    ``given_up`` says of used recipes, by the positions of their tasks, why no further step of theirs is begun. What
    happens to a task is recorded, shown to the board and to expressions, and kept among the ``news``.
    """

    def __init__(
        self, plan: Plan, database: Database, *, root: Frame, tasks: list[Task], board: Board, means: Means
    ) -> None:
        self.plan = plan
        self.database = database
        self.root = root
        self.tasks = tasks
        self.board = board
        self.means = means
        self.news = News(means.reporter)
        self.frames = {task.parent: task.frame for task in tasks if task.parent is not None and task.item is None}
        self.running: dict[str, Running] = {}
        self.given_up: dict[int, str] = {}

    def place_of(self, task: Task) -> int:
        """Give the place in the recipe of the step that a task belongs to, also from within a used recipe."""
        while task.parent is not None:
            task = self.tasks[task.parent]
        return task.planned.position

    def add(self, tasks: list[Task], parent: str) -> None:
        """Take in tasks, which the board knows already; ``parent`` is the id of the task that they come from."""
        self.tasks += tasks
        task_ids = tuple(task.task_id for task in tasks if task.item is not None or not task.planned.left_out)
        self.news.tell(TasksAdded(parent=parent, task_ids=task_ids))

    def settle(self, task: Task, state: TaskState) -> None:
        """Note that a task has ended."""
        self.board.ended(task.position, state)
        self._remember(task, state)

    def skip(self, task: Task, reason: str) -> None:
        """Record that a task is not run."""
        set_task_states(self.database, [task.task_id], TaskState.SKIPPED, reason)
        self.settle(task, TaskState.SKIPPED)
        self._tell_end(task, TaskState.SKIPPED, reason)

    def block(self, blocked: tuple[tuple[int, str], ...]) -> None:
        """Record which tasks the board has given up, each with its reason."""
        for reason, group in groupby(blocked, key=itemgetter(1)):
            tasks = [self.tasks[position] for position, _ in group]
            set_task_states(self.database, [task.task_id for task in tasks], TaskState.BLOCKED, reason)
            for task in tasks:
                self._remember(task, TaskState.BLOCKED)
                self._tell_end(task, TaskState.BLOCKED, reason)

    def merge_rest(self, frame: Frame) -> bool:
        """Share what nobody waited for; False where that brought a conflict to light, and with it a failure."""
        merged = frame.merge.at_end()
        frame.context.apply(merged.shared)
        if merged.conflict:
            self.refuse_writes(merged.conflict)
        return merged.conflict is None

    def refuse_writes(self, conflict: Conflict) -> None:
        """Fail the later of two tasks that wrote one key side by side."""
        task, first = self.tasks[conflict.second], self.tasks[conflict.first]
        reason = f"wrote {conflict.key!r}, which {first.task_id} beside it wrote too"
        refuse_writes(self.database, task.task_id, reason)
        task.frame.merge.refused(task.position)
        hint = "let one depend on the other, write two keys, or set 'on_conflict: last_write_wins'"
        place = task.frame.loaded.place(task.planned.step, "name")
        self.settle(task, TaskState.FAILED)
        self._tell_end(task, TaskState.FAILED, reason, Problem("MS308", f"{task.task_id}: {reason}", place, hint))

    def _remember(self, task: Task, state: TaskState) -> None:
        """Let expressions see what became of a step."""
        if task.item is None:
            steps: dict[str, Any] = task.frame.names["steps"]  # type: ignore[assignment]
            steps[task.planned.step] = {"status": state.value}

    def _tell_end(self, task: Task, state: TaskState, reason: str, problem: Problem | None = None) -> None:
        allowed = problem is not None and task.planned.node.allow_failure
        self.news.tell(
            TaskEnded(
                position=self.place_of(task),
                task_id=task.task_id,
                status=state,
                reason=reason,
                allowed=allowed,
                problem=problem,
            )
        )
