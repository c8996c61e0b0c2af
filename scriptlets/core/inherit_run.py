"""Give a run of MatterStack 0.2.x the recipe by which it goes on, and settle what was left open in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.errors import UsageError
from orchestrator.files import replace_file
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.database import Database, opened
from orchestrator.store.inheriting import inherit_run
from orchestrator.store.queries import has_legacy_tables, has_recipe
from orchestrator.store.run_scriptlet import RunScriptlet


class InheritRun(RunScriptlet):
    """Record the recipe by which a run of MatterStack 0.2.x goes on, once.

    Params: ``run_root``, ``recipe_text``, ``inputs`` (an object of what the run is held to be started with),
    ``definitions`` (an object from task id to the SHA-256 of its definition, in the order of the recipe) and, optional,
    ``allowed``, the tasks that may fail.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run_root", "recipe_text", "inputs", "definitions"],
        "properties": {
            "run_root": {"type": "string"},
            "recipe_text": {"type": "string"},
            "inputs": {"type": "object"},
            "definitions": {"type": "object"},
            "allowed": {"type": "array"},
        },
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse a run that has a recipe, and one where a runner writes."""
        super().validate(ctx, params)
        database = opened(params["run_root"])
        if has_recipe(database) or not has_legacy_tables(database):
            name = database.run_root.name
            raise UsageError(f"run {name} has its recipe", hint=f"go on with: matterstack resume {name}")

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the file, then everything else in one transaction."""
        database = opened(params["run_root"])
        replace_file(database.run_root / "recipe.yaml", params["recipe_text"].encode(), mode=0o644)
        with database.transaction():
            inherit_run(database, params["inputs"], params["definitions"], frozenset(params.get("allowed", ())))
        return {"_run.inherited_v1": _told(database, params)}


def _told(database: Database, params: Params) -> Outputs:
    return {"run_id": database.run_root.name, "tasks": len(params["definitions"])}


if __name__ == "__main__":
    InheritRun.main()
