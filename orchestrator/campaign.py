"""Write a campaign in Python: what to run next, and what the results mean, as a recipe's steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, TypeVar

State = Any
StepDict = Dict[str, Any]


@dataclass
class Task:
    """A command that runs in a directory of its own.

    ``files`` maps names to texts, to paths relative to the workspace, or to other values, which become JSON documents;
    ``dependencies`` are the ids of tasks that end before it. ``operator_key`` says who carries it out, or the variable
    MATTERSTACK_OPERATOR in ``env``; else the workspace's config.json does. ``download_patterns`` are the files that are
    kept, all where it is left out.
    """

    task_id: str
    command: str = ""
    image: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    dependencies: Sequence[str] = ()
    cores: Optional[int] = None
    memory_gb: Optional[float] = None
    gpus: Optional[int] = None
    time_limit_minutes: Optional[float] = None
    allow_dependency_failure: bool = False
    allow_failure: bool = False
    download_patterns: Optional[Sequence[str]] = None
    operator_key: Optional[str] = None

    def to_step(self, default_operator: str) -> StepDict:
        """Give it as a step of a recipe."""
        step = {
            **self._common(),
            "type": "shell",
            "run": self.command or "true",
            "stdout": "free",
            "resources": self._resources(),
            "env": {str(name): str(value) for name, value in self.env.items()},
            "operator_key": self.operator_key or self.env.get("MATTERSTACK_OPERATOR") or default_operator,
        }
        if self.download_patterns is not None:
            step["fetch"] = {"optional": list(self.download_patterns)}
        return {key: value for key, value in step.items() if value not in ({}, None)}

    def _common(self) -> StepDict:
        files = {name: _file(one) for name, one in self.files.items()}
        return {
            "name": self.task_id,
            "description": f"image {self.image}" if self.image else "",
            "depends_on": list(self.dependencies),
            "allow_failure": self.allow_failure,
            "allow_dependency_failure": self.allow_dependency_failure,
            "files": files,
        }

    def _resources(self) -> StepDict:
        minutes = self.time_limit_minutes
        limit = minutes * 60 if isinstance(minutes, (int, float)) else minutes  # a text is refused as what it is
        asked = {"cores": self.cores, "memory_gb": self.memory_gb, "gpus": self.gpus, "time_limit": limit}
        return {name: float(value) if name == "memory_gb" else value for name, value in asked.items() if value}


def _file(value: Any) -> Any:  # noqa: ANN401  whatever JSON knows
    """Give a file as a step has it: a path, a text, or any other value, which becomes a JSON document."""
    if isinstance(value, Path):
        return str(value)
    return {"content": value} if isinstance(value, str) else value


@dataclass
class GateTask(Task):
    """A question to people: the campaign goes on when they approve."""

    message: str = ""

    def to_step(self, default_operator: str) -> StepDict:  # noqa: ARG002  as of other tasks
        """Give it as a step of a recipe."""
        step = {**self._common(), "type": "human", "instructions": self.message or self.task_id}
        if self.operator_key:
            step["operator_key"] = self.operator_key
        return {key: value for key, value in step.items() if value != {}}


@dataclass
class ExternalTask(Task):
    """A request to an instrument, or to whoever stands for one, which answers with a result."""

    request_data: Mapping[str, Any] = field(default_factory=dict)

    def to_step(self, default_operator: str) -> StepDict:  # noqa: ARG002  as of other tasks
        """Give it as a step of a recipe."""
        step = {**self._common(), "type": "experiment", "config": dict(self.request_data)}
        if self.operator_key:
            step["operator_key"] = self.operator_key
        return {key: value for key, value in step.items() if value != {}}


AnyTask = TypeVar("AnyTask", bound=Task)


class Workflow:
    """The tasks of one iteration; each has an id of its own."""

    def __init__(self, tasks: Sequence[Task] = ()) -> None:
        self.tasks: Dict[str, Task] = {}
        for task in tasks:
            self.add_task(task)

    def add_task(self, task: AnyTask) -> AnyTask:
        """Add a task and return it; raise `ValueError` where its id is taken."""
        if task.task_id in self.tasks:
            message = f"there are two tasks {task.task_id!r}"
            raise ValueError(message)
        self.tasks[task.task_id] = task
        return task

    def to_steps(self, default_operator: str = "local.default") -> List[StepDict]:
        """Give the tasks as steps of a recipe."""
        return [task.to_step(default_operator) for task in self.tasks.values()]


@dataclass
class TaskResult:
    """What came of a task: its status, its files by name, and what a person or an instrument answered."""

    status: str
    files: Mapping[str, Path] = field(default_factory=dict)
    data: Any = None


class Campaign:
    """What to do next, and what the results mean. States are JSON, and each iteration's is kept.

    Override `plan` and `analyze`; ``initial_state`` is what the first `plan` is given.
    """

    initial_state: State = None

    def plan(self, state: State) -> Optional[Workflow]:
        """Give the tasks of the next iteration, or None where there is nothing left to do."""
        raise NotImplementedError

    def analyze(self, state: State, results: Mapping[str, TaskResult]) -> State:  # noqa: ARG002  for those who override
        """Give the state after an iteration, from the results of its tasks by their ids."""
        return state
