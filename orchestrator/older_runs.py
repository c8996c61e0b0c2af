"""Make the recipe by which a run of MatterStack 0.2.x goes on, from the tasks that it recorded."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.campaign import ExternalTask, GateTask, StepDict, Task
from orchestrator.campaign_source import CONFIG, RECIPE, execution_mode
from orchestrator.catalog import Project, read_project
from orchestrator.errors import InvalidFileError, UsageError
from orchestrator.jsonsafe import JsonValue
from orchestrator.paths import portable, project_root
from orchestrator.plan import Selection, plainly, plan_source
from orchestrator.recipe.model import SCHEMA_ID
from orchestrator.sources import Source
from orchestrator.store.database import Database
from orchestrator.store.legacy_tasks import FormerTask, read_former_tasks
from orchestrator.store.queries import has_recipe
from orchestrator.wiring.keys import canonical, kind_of

CODE = "MS506"

_HEAD = f"schema: {SCHEMA_ID}\ndescription: Made from the records of a run of MatterStack 0.2.\nsteps:\n"
_OPERATORS = {"Local": "local.default", "HPC": "hpc.default", "Simulation": "local.default"}
_ROUTING = "MATTERSTACK_OPERATOR"
_KINDS = {"GateTask": "human", "ExternalTask": "experiment"}
# What YAML takes for the end of a line, or for no text at all, though JSON does not.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_NO_PATH = re.compile(r"\s")


def made_source(database: Database) -> Source | None:
    """Give the recipe that a run of MatterStack 0.2.x amounts to; None for a run that has one.

    Raises `UsageError` (MS506) where none can be made, with the cause.
    """
    if has_recipe(database):
        return None
    run_root, workspace = database.run_root, database.run_root.parent.parent
    source = Source.from_text(str(run_root / RECIPE), _text(database, workspace))
    _refuse_another(database, source)
    try:
        plan_source(source, workspace, {})
    except InvalidFileError as error:
        raise _refusal(database, error.problems[0].message) from error
    return source


def start_of(database: Database, source: Source) -> dict[str, Any]:
    """Give what a run of MatterStack 0.2.x is held to be started with, in its workspace; its tasks are independent."""
    runs = database.run_root.parent
    project = project_root(runs.parent)
    return {
        "recipe_sha256": source.sha256,
        "recipe_path": portable(database.run_root / RECIPE, runs, project),
        "recipe_folder": portable(runs.parent, runs, project),
        "working_directory": portable(runs.parent, runs, project),
        "inputs": {},
        "selection": Selection().to_json(),
        "stubs": {},
        "keep_going": True,
        "versions": {"matterstack": __version__, "python": platform.python_version()},
    }


def _text(database: Database, workspace: Path) -> str:
    project = read_project(workspace, project_root(workspace))
    folder = database.run_root if (database.run_root / CONFIG).is_file() else workspace
    default = _OPERATORS[execution_mode(folder)]
    try:
        steps = [_step(task, default, project) for task in read_former_tasks(database)]
    except UsageError as error:
        raise _refusal(database, error.message) from error
    return _HEAD + "".join(_lines(step) for step in steps)


def _lines(step: StepDict) -> str:
    """Write a step with one key a line; every value is JSON, of which YAML makes the same."""
    lines = [f"{key}: {_written(value)}" for key, value in step.items()]
    return "  - " + "\n    ".join(lines) + "\n"


def _written(value: JsonValue) -> str:
    text = json.dumps(plainly(value), ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _step(task: FormerTask, default: str, project: Project) -> StepDict:
    if not task.is_defined:
        raise UsageError(f"task {task.task_id!r} was deleted, and nothing says what it ran")
    key = canonical(str(task.operator_key or task.env.get(_ROUTING) or task.attempt_key or default))
    kind = _KINDS.get(task.task_type, kind_of(key))
    step = _MAKERS.get(kind, _command)(task, project).to_step(default)
    return {**step, **({"operator_key": key} if kind_of(key) == kind or kind not in _MAKERS else {})}


def _common(task: FormerTask, project: Project) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "image": task.image,
        "files": {name: _file(task, name, value, project) for name, value in task.files.items()},
        "dependencies": task.dependencies,
        "allow_failure": task.allow_failure,
        "allow_dependency_failure": task.allow_dependency_failure,
    }


def _command(task: FormerTask, project: Project) -> Task:
    if not task.command.strip():
        raise UsageError(f"task {task.task_id!r} has no command")
    return Task(
        **_common(task, project),
        command=task.command,
        env={name: str(value) for name, value in task.env.items()},
        cores=task.cores,
        memory_gb=task.memory_gb,
        gpus=task.gpus,
        time_limit_minutes=task.time_limit_minutes,
        download_patterns=task.download_patterns,
    )


def _question(task: FormerTask, project: Project) -> Task:
    message = _told(task.command).get("message") or task.command
    return GateTask(**_common(task, project), message=str(message))


def _request(task: FormerTask, project: Project) -> Task:
    told = _told(task.command)
    if not told:
        raise UsageError(f"task {task.task_id!r} asks an instrument, and nothing says for what")
    return ExternalTask(**_common(task, project), request_data=told.get("request_data", told))


_MAKERS: dict[str, Callable[[FormerTask, Project], Task]] = {"human": _question, "experiment": _request}


def _told(command: str) -> Mapping[str, Any]:
    """Give the JSON object with which a command of the earlier program ends; nothing where it has none."""
    try:
        value = json.loads(shlex.split(command)[-1])
    except (ValueError, IndexError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _file(task: FormerTask, name: str, value: object, project: Project) -> str | Path:
    """Give a file of a task, which was recorded as its text or as its path, without saying which.

    Raises `UsageError` for what looks like the path of a file that is gone, or that lies outside of the project.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    path = project.recipe_folder / value if value and not _NO_PATH.search(value) and len(value) < 1_000 else None  # noqa: PLR2004  longer than paths are
    if path is None:
        return value
    if path.is_file() and path.resolve().is_relative_to(project.root.resolve()):
        return Path(value)
    if path.is_file() or "/" in value or (Path(name).suffix and Path(value).suffix == Path(name).suffix):
        raise UsageError(f"the file {value!r} of task {task.task_id!r} is not there any more, or not in the project")
    return value


def _refuse_another(database: Database, source: Source) -> None:
    """Refuse to take the place of a recipe.yaml that somebody else has put there."""
    path = database.run_root / RECIPE
    if path.exists() and path.read_bytes() != source.text.encode():
        raise _refusal(database, f"{path} is not the recipe of its records; move it away")


def _refusal(database: Database, cause: str) -> UsageError:
    return UsageError(
        f"run {database.run_root.name} of MatterStack 0.2 cannot go on: {cause}",
        hint="read it with 'status', 'attempts', 'logs' and 'explain'; to go on, begin a run of a recipe of its steps",
        code=CODE,
    )
