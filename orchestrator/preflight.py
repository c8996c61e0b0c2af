"""See, before a run begins or goes on, that nothing stands in its way which can be told beforehand."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import InfrastructureError, InvalidFileError, Problem, UsageError
from orchestrator.invoke import happen
from orchestrator.keys import did_you_mean
from orchestrator.plan import Plan, demands, refuse_over_budget
from orchestrator.session import DriveOptions
from orchestrator.store.database import is_network_path
from orchestrator.wiring.options import BUILT_IN_KEYS, WiringOptions
from orchestrator.workers.calls import PythonCall


def check_budget(plan: Plan) -> None:
    """Refuse steps that ask for more core-hours than the recipe's budget has."""
    if plan.recipe.budget:
        refuse_over_budget(plan.loaded, demands(plan))


def check_routing(plan: Plan, wiring: Mapping[str, Any] | None) -> None:
    """Refuse steps that are routed to operators which the wiring in force does not have."""
    known = wiring["operators"] if wiring else BUILT_IN_KEYS
    where = f"in {wiring['resolved_path'] or wiring['source']}" if wiring else "where nobody wired anything"
    idle = wiring["idle"] if wiring else {}
    how = "" if wiring else "say what it means in operators.yaml of the workspace, or with --operators-config"
    problems = [
        Problem("MS214", f"there is no operator {key!r} {where}", place, how or did_you_mean(key, known))
        for key, place in plan.operator_keys.items()
        if key not in known
    ] + [
        Problem("MS208", f"{key!r} is wired to {idle[key]!r}, which is not executed yet", place, "wire another backend")
        for key, place in plan.operator_keys.items()
        if key in idle
    ]
    if problems:
        raise InvalidFileError(problems)


def check_people(plan: Plan, wiring: Mapping[str, Any] | None, run_root: Path | None = None) -> None:
    """Refuse questions that nobody could answer, or, of a run that is not there yet, that could not be posted."""
    if wiring and any(key in wiring["people"] for key in plan.operator_keys):
        from orchestrator.operators.quorum import check_postings, check_quorum  # noqa: PLC0415  few runs need it

        check_quorum(plan, wiring, run_root)
        if run_root is None:
            check_postings(plan, wiring)


def check_drivers(plan: Plan, wiring: Mapping[str, Any] | None) -> None:
    """Refuse steps for instruments whose driver is no program that can be executed here."""
    drivers = wiring["drivers"] if wiring else {}
    missing = {key: name for key, name in drivers.items() if key in plan.operator_keys and not shutil.which(name)}
    if wiring and missing:
        where = wiring["resolved_path"] or wiring["source"]
        hint = "install it, make it executable, or mend the command of the operator"
        raise InvalidFileError(
            [
                Problem("MS604", f"{key} in {where}: there is no program {name!r}", plan.operator_keys[key], hint)
                for key, name in missing.items()
            ]
        )


def check_imports(plan: Plan, wiring: Mapping[str, Any] | None) -> None:
    """Refuse Python steps that import what the cluster they are routed to does not get."""
    clusters = wiring["clusters"] if wiring else []
    sent = [
        (loaded, task, task.away) for loaded, task in plan.steps if task.away and task.away.operator_key in clusters
    ]
    if not sent:
        return
    from orchestrator.operators.imports import Imports  # noqa: PLC0415  few runs need it

    root = plan.project.root
    hint = "put what it needs into the file, or into modules that it imports by their names from the project's root"
    problems = [
        Problem(
            "MS220",
            f"{task.target.path.name} imports {', '.join(names)}, which does not travel to {away.operator_key!r}",
            loaded.place(task.step, "module"),
            hint,
        )
        for loaded, task, away in sent
        if isinstance(task.target, PythonCall)
        and (names := Imports(task.target.path, task.target.module, root).missing)
    ]
    if problems:
        raise InvalidFileError(problems)


def check_breaks(plan: Plan, options: DriveOptions) -> None:
    """Refuse to pause before a step that there is not; parts of a group need not be there yet."""
    steps = [task.step for task in plan.tasks]
    for name in options.break_at:
        first = re.split(r"[\[/@]", name)[0]
        if first not in steps:
            raise UsageError(f"--break-at: the recipe has no step {first!r}", hint=did_you_mean(first, steps))


def wiring_in_force(asked: WiringOptions, workspace: Path, run_root: Path | None = None) -> dict[str, Any] | None:
    """Give the wiring in force where anybody wired anything, or the run has kept one."""
    if run_root is None and not asked.is_wired(workspace):
        return None
    params = {"workspace": str(workspace), "run_root": str(run_root) if run_root else None, **asked.to_params()}
    found: dict[str, Any] = happen("run.planned", params)["_wiring.resolved_v1"]
    return found


def refuse_network(run_root: Path, *, allowed: bool) -> None:
    """Refuse a run whose state would lie on a file system that hosts share; raises `InfrastructureError` (MS505)."""
    if not allowed and is_network_path(run_root):
        raise InfrastructureError(
            f"{run_root} lies on a file system shared over a network",
            hint="choose a local --workspaces-dir, or add --allow-network-fs (slower, safe for one host at a time)",
            code="MS505",
        )
