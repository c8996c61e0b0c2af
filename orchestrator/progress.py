"""Say what happens in a run while it happens: what a reporter is told, always after it is durable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.errors import Problem
from orchestrator.states import AttemptState, RunState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun:
    """A run starts, or goes on where an earlier runner stopped; tasks that the selection leaves out are not counted.

    ``task_ids`` are the steps of the recipe, and ``done_before`` of them had ended; ``waiting`` are all tasks that have
    not ended, also those that steps became, and ``ended`` counts those that have.
    """

    run_id: str
    run_root: Path
    recipe_name: str
    test_id: str
    task_ids: tuple[str, ...]
    done_before: int
    waiting: tuple[str, ...] = ()
    ended: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksAdded:
    """A task became several: the items of a fan-out or the steps of a recipe; "" adds a round of the recipe itself."""

    parent: str
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted:
    """An attempt at a task begins; ``attempt_index`` counts from 1.

    All tasks of a fan-out have the position of their step.
    """

    position: int
    task_id: str
    attempt_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWaiting:
    """An attempt is in other hands; ``todo`` is the command that goes on with it."""

    position: int
    task_id: str
    todo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """An operator has seen where an attempt stands; ``note`` is what people should know of it."""

    task_id: str
    state: AttemptState
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """An attempt ended, or a task was skipped or blocked without one; ``retry_in_sec`` says when it is tried again.

    ``is_away`` tells that an operator had it, so that it can be done again but not replayed here.
    """

    position: int
    task_id: str
    status: TaskState
    reason: str = ""
    duration_sec: float | None = None
    outputs: tuple[str, ...] = ()
    attempt_index: int = 0
    retry_in_sec: float | None = None
    allowed: bool = False
    cached: bool = False
    stubbed: bool = False
    stderr: str = ""
    problem: Problem | None = None
    began: bool = True
    is_away: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettled:
    """The run ended, was interrupted, pauses before a task, or waits for what operators have.

    ``problem`` is what no step was at fault for. Of the tasks that operators have, ``questions`` are those that people
    are to answer, and ``goes_on`` the others, which go on without a runner; ``has_last_to_do`` tells that the recipe's
    ``finally`` waits for these.
    """

    run_id: str
    run_root: Path
    status: RunState
    reason: str
    problem: Problem | None = None
    paused_at: str = ""
    waits_for: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    goes_on: tuple[str, ...] = ()
    has_last_to_do: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLeftBehind:
    """Another run is begun although one of the workspace has not ended; ``status`` is its state, or why it has none.

    One that ``is_driven`` was started in the same way, and somebody drives it.
    """

    run_id: str
    status: str
    is_driven: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMissing:
    """The write-ahead log of a run whose runner died is gone, and with it what it held."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignLeftOut:
    """A run of MatterStack 0.2.x goes on without its campaign, which had not said that there was nothing left to do."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that people should know while the run goes on, and what they may do about it."""

    text: str
    todo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAsked:
    """Somebody is asked for something on the terminal, or was where that ``is_over``."""

    is_over: bool


Happening = (
    CampaignLeftOut
    | PersonAsked
    | Remark
    | LogMissing
    | RunLeftBehind
    | RunBegun
    | TasksAdded
    | TaskStarted
    | TaskWaiting
    | TaskSeen
    | TaskEnded
    | RunSettled
)


class Reporter(Protocol):
    """Whoever shows a run to people."""

    def tell(self, happening: Happening) -> None:
        """Take note of what happened; it is on disk already."""


class Silence:
    """A reporter that shows nothing."""

    def tell(self, happening: Happening) -> None:
        """Take no note."""
