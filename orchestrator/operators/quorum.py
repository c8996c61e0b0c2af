"""Tell whether people can answer what a recipe asks them, before anything of it has run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidFileError, Problem, ScriptletError, UsageError
from orchestrator.operators.answers import user_name
from orchestrator.operators.postings import shared_folder
from orchestrator.plan import Plan
from orchestrator.workers.calls import HumanCall

CODE = "MS219"
HINT = "name more approvers in the wiring, or let the step ask for fewer approvals"


def shortfall(approvals: int, approvers: Collection[str], starter: str) -> str:
    """Say why a question can never be approved so often, or nothing; where no approver is named, anybody may answer.

    ``starter`` is who may not answer since the run is theirs, or nothing.
    """
    may = sorted({*approvers} - {starter})
    if not approvers or len(may) >= approvals:
        return ""
    besides = f"; {starter} starts the run, and somebody else must answer" if starter in approvers else ""
    return f"approvals: {approvals}, and as many as {len(may)} may answer ({', '.join(may) or 'nobody'}){besides}"


def check_quorum(plan: Plan, wiring: Mapping[str, Any], run_root: Path | None) -> None:
    """Raise `InvalidFileError` with each step that fewer people may answer than must approve.

    The run at ``run_root`` is that of its owner, and one that is not there yet that of this user.
    """
    uid = run_root.stat().st_uid if run_root else os.getuid()
    if problems := [*_problems(plan, wiring, user_name(uid))]:
        raise InvalidFileError(problems)


def _problems(plan: Plan, wiring: Mapping[str, Any], starter: str) -> Iterator[Problem]:
    where = wiring["resolved_path"] or wiring["source"]
    for loaded, step in plan.steps:
        if isinstance(step.target, HumanCall) and step.away:
            rules = wiring["people"][step.away.operator_key]
            excluded = starter if rules["separation_of_duty"] else ""
            if wrong := shortfall(step.target.approvals, rules["approvers"], excluded):
                message = f"{step.away.operator_key} in {where}: {wrong}"
                yield Problem(CODE, message, loaded.place(step.step, "approvals"), HINT)


def check_postings(plan: Plan, wiring: Mapping[str, Any]) -> None:
    """Raise `UsageError` (MS603) where a folder in which questions would be posted is none that can be used."""
    for key in plan.operator_keys:
        if folder := wiring["people"].get(key, {}).get("shared_folder"):
            try:
                shared_folder(Path(folder))
            except ScriptletError as error:
                raise UsageError(f"{key}: {error.message}", hint=error.hint, code=error.code) from error
