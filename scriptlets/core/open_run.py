"""Make a run directory, whole or not at all: the recipe as started, the state file with the run and its tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.campaign_source import CONFIG
from orchestrator.context import Change
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.files import new_directory, replace_file
from orchestrator.jsonsafe import dumps
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.states import TaskState
from orchestrator.store.contexts import write_changes
from orchestrator.store.database import FILE_NAME, create_database
from orchestrator.store.runs import NewTask, insert_run, insert_tasks, put_inputs
from orchestrator.store.wirings import keep
from orchestrator.wiring.kept import kept_from_params


class OpenRun(CoreScriptlet):
    """Record a new run.

    Params: ``run_root`` (must not exist; its name is the run id), ``workspace_slug``, ``recipe_name``,
    ``recipe_text``, ``inputs`` (an object of what the run was started with) and ``tasks`` (objects with ``task_id``,
    ``step``, ``definition_sha256`` and, optional, ``phase`` (0 for steps, 1 for what follows a failure, 2 for what is
    done last) and, where the task is not to run, ``status`` and ``status_reason``); optional ``context``, the values to
    start with, ``config_text``, the settings of the workspace, and ``wiring`` and ``provenance``, what is in force as
    `ResolveWiring` gives it and what was asked for.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "workspace_slug", "recipe_name", "recipe_text", "inputs", "tasks"],
        "properties": {
            "run_root": {"type": "string"},
            "workspace_slug": {"type": "string"},
            "recipe_name": {"type": "string"},
            "recipe_text": {"type": "string"},
            "inputs": {"type": "object"},
            "tasks": {"type": "array"},
            "context": {"type": "object"},
            "config_text": {"type": ["string", "null"]},
            "wiring": {"type": ["object", "null"]},
            "provenance": {"type": "object"},
        },
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse a run directory that exists."""
        if Path(params["run_root"]).exists():
            message = f"run directory {params['run_root']} exists already"
            raise ValueError(message)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Build the directory under a temporary name and move it into place."""
        run_root = Path(params["run_root"])
        with new_directory(run_root) as folder:
            replace_file(folder / "recipe.yaml", params["recipe_text"].encode(), mode=0o644)
            if (config := params.get("config_text")) is not None:
                replace_file(folder / CONFIG, config.encode(), mode=0o644)
            self._fill(folder / FILE_NAME, run_root.name, params)
        return {"_run.opened_v1": {"run_id": run_root.name, "run_root": str(run_root)}}

    def _fill(self, path: Path, run_id: str, params: Params) -> None:
        database = create_database(path)
        with database.transaction():
            tasks = [_task(number, task) for number, task in enumerate(params["tasks"])]
            writes = [Change(key, dumps(value, key), self.name) for key, value in params.get("context", {}).items()]
            insert_run(
                database,
                run_id,
                params["workspace_slug"],
                params["recipe_name"],
                left_out=[task.task_id for task in tasks if task.status is TaskState.SKIPPED],
                context={write.key: str(write.text) for write in writes},
            )
            put_inputs(database, params["inputs"])
            insert_tasks(database, tasks, seq=1)
            write_changes(database, writes, attempt_id=None, seq=1)
            if wiring := kept_from_params(params):
                keep(database, wiring)
        database.close()


def _task(position: int, task: Params) -> NewTask:
    return NewTask(
        position=position,
        task_id=task["task_id"],
        step=task["step"],
        definition_sha256=task["definition_sha256"],
        status=TaskState(task.get("status", TaskState.PENDING)),
        status_reason=task.get("status_reason", ""),
        phase=task.get("phase", 0),
    )


if __name__ == "__main__":
    OpenRun.main()
