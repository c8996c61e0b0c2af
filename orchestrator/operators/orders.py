"""Say what an operator has to know to carry out a step: what is recorded with the attempt before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.away import MODULES
from orchestrator.catalog import Project
from orchestrator.context import Context
from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, resolve
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.layout import OWN
from orchestrator.operators.imports import Imports
from orchestrator.operators.people import asked
from orchestrator.operators.staging import files_to_stage, source_of
from orchestrator.plan import Away, PlannedTask
from orchestrator.wiring.model import HumanOperator
from orchestrator.wiring.reading import Wired
from orchestrator.workers.calls import CommandCall, ExperimentCall, HumanCall, PythonCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a step sees when its attempt is opened.

    ``failures`` counts its attempts that have failed, ``bad_nodes`` names those of the cluster on which one was lost,
    and ``is_secret`` tells which texts are not to be recorded.
    """

    run_root: Path
    project: Project
    scope: Scope
    seen: Context
    env: Mapping[str, str]
    failures: int
    bad_nodes: Sequence[str]
    is_secret: Callable[[str], bool]


def work_of(planned: PlannedTask, away: Away, wired: Wired, around: Surroundings) -> dict[str, Any]:
    """Give the work of a step.

    Raises `ExpressionError` where an expression or a context key has no value, and `ScriptletError` for a file that is
    not there.
    """
    given: Any = resolve(dict(away.files), around.scope)
    files = files_to_stage(given, around.project, around.run_root)
    common = {"step": planned.step, "files": files}
    target = planned.target
    if isinstance(target, HumanCall) and isinstance(wired.operator, HumanOperator):
        return {**common, **asked(target, wired.operator, around.run_root)}
    if isinstance(target, ExperimentCall):
        return {**common, "result_schema": dict(target.result_schema), "timeout_sec": planned.timeout_sec}
    resources = away.resources_after(around.failures)
    limit_sec = planned.limit_sec(resources)
    resources.pop("time_limit", None)
    return {
        **common,
        **_program(planned, files, around),
        "needs": _needs(away, around.seen),
        "env": {name: None if around.is_secret(value) else value for name, value in around.env.items()},
        "resources": resources,
        "limit_sec": limit_sec,
        "fetch": {name: list(patterns) for name, patterns in away.fetch.items()},
        **({"on_walltime": dict(away.on_walltime)} if away.on_walltime else {}),
        **({"exclude": list(around.bad_nodes)} if around.bad_nodes else {}),
    }


def _program(planned: PlannedTask, files: dict[str, JsonValue], around: Surroundings) -> dict[str, JsonValue]:
    """Say what runs; the file of a scriptlet travels with the step, and so do the modules that it imports."""
    file, target = planned.file, planned.target
    carried = f"{OWN}/{file.path.name}" if file else ""
    if file:
        files[carried] = source_of(file.path, around.run_root)
    if isinstance(target, CommandCall):
        argv = [*target.argv[:-1], carried] if file else list(target.argv)
        return {"argv": argv, "takes_params": target.takes_params}
    if not isinstance(target, PythonCall):
        return {}
    imports = Imports(target.path, target.module, around.project.root)
    files |= {f"{MODULES}/{place}": source_of(path, around.run_root) for place, path in imports.files.items()}
    return {"scriptlet": carried, "module": target.module, "class": target.class_name}


def _needs(away: Away, seen: Context) -> dict[str, JsonValue]:
    for key in away.needs:
        if key not in seen:
            raise ExpressionError(f"needs: the context has no key {key!r}", hint=did_you_mean(key, seen))
    return {key: seen[key] for key in away.needs}
