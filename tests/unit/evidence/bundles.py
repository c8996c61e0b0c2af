"""Make runs whose attempts left files, export them, and read what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from orchestrator.evidence.export import Exported, Request, export
from orchestrator.invoke import call_core
from orchestrator.paths import package_root
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, attempt_path, close_attempt, move_attempt, open_attempt
from orchestrator.store.database import close_opened, opened
from orchestrator.store.leases import take
from orchestrator.store.runs import set_run_state

RUN_ID = "20260102_030405_0a1b2c3d"
SCHEMA = json.loads((package_root() / "orchestrator/schema/evidence-bundle-1.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
RECIPE = "steps:\n- { name: relax, type: shell, run: [relax, '--fast'], stdout: free }\n"


def left_run(folder: Path, files: Mapping[str, bytes], declared: Mapping[str, bytes] | None = None) -> Path:
    """Make a run whose one attempt left some files, and declared that it would leave these; give its directory."""
    run_root = folder / RUN_ID
    _open(run_root)
    database = opened(run_root)
    lease = take(database)
    artifacts = [
        {"path": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in (files if declared is None else declared).items()
    ]
    result = AttemptResult(
        status=AttemptState.COMPLETED, task_status=TaskState.COMPLETED, operator_data={"artifacts": artifacts}
    )
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        attempt_id, _ = open_attempt(database, "relax", {}, "hpc.default", {})
        place = attempt_path("relax", attempt_id)
        move_attempt(database, "relax", attempt_id, AttemptState.RUNNING)
        close_attempt(database, "relax", attempt_id, result)
        set_run_state(database, RunState.COMPLETED)
    lease.release()
    close_opened(run_root)
    for name, content in files.items():
        path = run_root / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return run_root


def _open(run_root: Path) -> None:
    task = {"task_id": "relax", "step": "relax", "definition_sha256": "0" * 64}
    inputs = {"recipe_sha256": hashlib.sha256(RECIPE.encode()).hexdigest(), "recipe_folder": "."}
    names = {"workspace_slug": "screening", "recipe_name": "recipe.yaml", "recipe_text": RECIPE}
    call_core("open_run", {"run_root": str(run_root), **names, "inputs": inputs, "tasks": [task]})


def attempt_folder(run_root: Path) -> Path:
    """Give the directory of the one attempt."""
    (found,) = (run_root / "tasks" / "relax" / "attempts").iterdir()
    return found


def exported(run_root: Path, *, redact: bool = False, secret_env: tuple[str, ...] = ()) -> Exported:
    """Export a run into its own directory."""
    return export(Request(run_root=run_root, redact=redact, secret_env=secret_env))


def bundle_of(run_root: Path) -> dict[str, Any]:
    """Give bundle.json of a run that was exported, which keeps to its schema."""
    bundle: dict[str, Any] = json.loads((run_root / "evidence" / "bundle.json").read_text(encoding="utf-8"))
    assert [f"{fault.json_path}: {fault.message}" for fault in VALIDATOR.iter_errors(bundle)] == []
    return bundle


def everything(folder: Path) -> dict[str, bytes]:
    """Give all files below a folder by their names."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Give the lines of all files of a folder, as the JSON that they are."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
    return [json.loads(text) for text in "".join(texts).splitlines()]
