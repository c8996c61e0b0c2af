"""Write bundle.json: all that programs ask of an evidence, in one canonical document."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from orchestrator.evidence.artifacts import folder_of
from orchestrator.evidence.canonical import canonical, members, streamed
from orchestrator.evidence.context import final_context
from orchestrator.evidence.draft import Draft, FileState
from orchestrator.evidence.engine import engine
from orchestrator.evidence.redaction import POLICY, RULES, without_home
from orchestrator.recipe.model import PythonStep, ShellStep
from orchestrator.states import TaskState
from orchestrator.store.events import last_event
from orchestrator.store.pages import counting_writes, read_attempts_briefly, read_written
from orchestrator.store.queries import AttemptRow, TaskRow, count_tasks, read_tasks
from orchestrator.wiring.keys import key_of_attempt, kind_of
from orchestrator.wiring.snapshot import FOLDER, TEXT_NAME

NAME = "bundle.json"
SCHEMA = "matterstack/evidence-bundle/v1"
SCHEMA_VERSION = 1

States = dict[tuple[str, str], set[FileState]]


def write_bundle(draft: Draft) -> None:
    """Write bundle.json.

    ``generated_at`` is the time of the last event that the evidence tells of: what an export says depends on the run
    alone, and not on when it is made.
    """
    draft.folder.write(NAME, streamed(_parts(draft)))


def _parts(draft: Draft) -> dict[str, Any]:
    run, last = draft.run, last_event(draft.database)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "workspace_slug": run.workspace_slug,
        "recipe": {"name": run.recipe_name, "sha256": recipe_sha256(draft)},
        "run_status": run.status,
        "status_reason": draft.redaction.clean(run.status_reason) or None,
        "is_complete": draft.is_complete,
        "generated_at": last.at_utc,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "engine": engine(),
        "task_counts": task_counts(draft),
        "tags": draft.redaction.clean(list(draft.recipe.tags)) if draft.recipe else [],
        "artifacts": [dataclasses.asdict(artifact) for artifact in draft.artifacts],
        "attempts": {"count": sum(part.count for part in draft.attempts), "segments": _files(draft)},
        "events": {"count": last.seq, "head": last.hash, "segments": [dataclasses.asdict(one) for one in draft.events]},
        "limits": limits(draft),
        "redaction": _redaction(draft),
        "data": streamed(_data(draft, {"seq": last.seq, "hash": last.hash})),
    }


def task_counts(draft: Draft) -> dict[str, int]:
    """Count the tasks by state, in small letters, and all of them."""
    counts = count_tasks(draft.database)
    return {"total": sum(counts.values()), **{state.lower(): counts.get(state, 0) for state in TaskState}}


def limits(draft: Draft) -> list[str]:
    """Say what this evidence does not show."""
    stubbed = ["stubs answered for steps"] if draft.inputs.get("stubs") else []
    return ["clock not attested", "not signed", *stubbed]


def wiring(draft: Draft) -> dict[str, Any]:
    """Give by which wiring the run went; without one that was kept, the source is ``NONE``."""
    kept = draft.kept
    if kept is None:
        names = ("sha256", "snapshot_relpath", "resolved_path", "created_at_utc")
        return {"source": "NONE", **dict.fromkeys(names)}
    return {
        "source": kept.source,
        "sha256": None if f"{FOLDER}/{TEXT_NAME}" in draft.redaction.files_withheld else kept.sha256,
        "snapshot_relpath": f"{FOLDER}/{TEXT_NAME}",
        "resolved_path": without_home(kept.resolved_path, draft.database.run_root) or None,
        "created_at_utc": kept.created_at,
    }


def recipe_sha256(draft: Draft) -> str | None:
    """Give the digest of the recipe; none where it was left out, since its secret could be guessed from that."""
    return None if draft.recipe_state is FileState.WITHHELD else draft.inputs.get("recipe_sha256")


def _files(draft: Draft) -> list[dict[str, Any]]:
    return [{"file": part.file, "count": part.count} for part in draft.attempts]


def _redaction(draft: Draft) -> Iterator[bytes]:
    """Give what was kept out, when it is written: after ``data``, of which something may have been."""
    done = draft.redaction
    counts = {"values_redacted": done.values_redacted, "files_withheld": done.files_withheld}
    yield canonical({"policy": POLICY, "rules": list(RULES), **counts})


def _data(draft: Draft, head: dict[str, Any]) -> dict[str, Any]:
    versions = draft.inputs.get("versions", {})
    return {
        "tasks": members(_tasks(draft)),
        "context": final_context(draft),
        "events_head": head,
        "operator_wiring": wiring(draft),
        "environment": {name: versions.get(name) for name in ("matterstack", "python")},
        "recipe": draft.redaction.clean(_recipe(draft)),
    }


def _recipe(draft: Draft) -> dict[str, Any]:
    return {
        "name": draft.run.recipe_name,
        "sha256": recipe_sha256(draft),
        "state": draft.recipe_state,
        "description": draft.recipe.description if draft.recipe else "",
        "license": draft.recipe.license if draft.recipe else "",
        "inputs": draft.inputs.get("inputs", {}),
        "selection": draft.inputs.get("selection", {}),
    }


def _tasks(draft: Draft) -> Iterator[tuple[str, dict[str, Any]]]:
    writes, commands, states = counting_writes(draft.database), _commands(draft), _states(draft)
    for task in sorted(read_tasks(draft.database), key=lambda task: task.task_id):
        attempts = [_attempt(one, states) for one in read_attempts_briefly(draft.database, task.position)]
        results = read_written(draft.database, writes.get(task.position, ()))
        told = _task(task, attempts, results, commands.get(task.step))
        yield task.task_id, draft.redaction.clean(told)


def _task(task: TaskRow, attempts: list[dict[str, Any]], results: dict[str, Any], command: Any) -> dict[str, Any]:  # noqa: ANN401  text or a list
    current = attempts[-1] if attempts else None
    routed = ("operator_type", "operator_key", "external_id")
    return {
        "image": None,
        "command": command,
        "step": task.step,
        "status": task.status,
        "status_reason": task.status_reason or None,
        **{name: current[name] if current else None for name in routed},
        "results": results,
        "attempts": attempts,
        "current_attempt": current,
    }


def _attempt(attempt: AttemptRow, states: States) -> dict[str, Any]:
    key = key_of_attempt(attempt.operator_key, attempt.operator_data, attempt.operator_type)
    found = states.get((attempt.task_id, attempt.attempt_id), set())
    is_copied = bool(found - {FileState.MISSING, FileState.REFUSED})
    return {
        "attempt_id": attempt.attempt_id,
        "attempt_index": attempt.attempt_index,
        "status": attempt.status,
        "status_reason": attempt.status_reason or None,
        "outcome": attempt.outcome or None,
        "operator_type": attempt.operator_type or (kind_of(key) if key else None),
        "operator_key": key,
        "external_id": attempt.external_id,
        "operator_data": attempt.operator_data,
        "relative_path": attempt.relative_path,
        "artifact_path": folder_of(attempt) if is_copied else None,
        "artifact_missing": FileState.MISSING in found,
        "artifact_changed": FileState.CHANGED in found,
        "exit_code": attempt.exit_code,
        "duration_sec": attempt.duration_sec,
        "created_at": attempt.created_at,
        "submitted_at": attempt.submitted_at,
        "ended_at": attempt.ended_at,
    }


def _states(draft: Draft) -> States:
    found: States = {}
    for artifact in draft.artifacts:
        found.setdefault((artifact.task_id, artifact.attempt_id), set()).add(artifact.state)
    return found


def _commands(draft: Draft) -> dict[str, Any]:
    """Give what the recipe declares that each of its own steps runs."""
    commands: dict[str, Any] = {}
    for step in draft.recipe.every_step() if draft.recipe else ():
        if isinstance(step, ShellStep):
            commands[step.name] = step.script or (step.run if isinstance(step.run, str) else list(step.run or ()))
        elif isinstance(step, PythonStep):
            commands[step.name] = f"{step.module}:{step.class_name}"
    return commands
