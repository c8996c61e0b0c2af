"""Know how a run was started, and plan it again as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign_source import read_recipe
from orchestrator.errors import InfrastructureError, UsageError
from orchestrator.jsonsafe import JsonValue
from orchestrator.older_runs import made_source, start_of
from orchestrator.paths import located
from orchestrator.plan import STDIN_NAME, Plan, Selection, plan_source
from orchestrator.session import how_to_accept
from orchestrator.sources import Source
from orchestrator.store.database import reading
from orchestrator.store.queries import read_inputs

if TYPE_CHECKING:
    from orchestrator.stubs import Stubs


def plan_as_started(run_root: Path) -> Plan:
    """Go to the directory of a run and plan the recipe that was kept with it, with the files as they are now."""
    inputs = read_start(run_root)
    return plan_again(run_root, inputs, lambda: _kept_source(run_root, inputs))


def read_start(run_root: Path) -> dict[str, Any]:
    """Give what a run was started with; raise `UsageError` (MS506) where no recipe can be made of an older one."""
    with reading(run_root) as database:
        source = made_source(database)
        return {**read_inputs(database), **(start_of(database, source) if source else {})}


def plan_again(run_root: Path, inputs: Mapping[str, Any], source: Callable[[], Source]) -> Plan:
    """Go to the directory of a run and plan a recipe with its inputs; ``source`` reads that from there."""
    _return_to(located(inputs["working_directory"], run_root.parent))
    selection = Selection(**{name: tuple(names) for name, names in inputs["selection"].items()})
    return plan_source(source(), located(inputs["recipe_folder"], run_root.parent), inputs["inputs"], selection)


def _kept_source(run_root: Path, inputs: Mapping[str, Any]) -> Source:
    with reading(run_root) as database:
        if source := made_source(database):
            return source
    path = located(inputs["recipe_path"], run_root.parent)
    name = STDIN_NAME if inputs["recipe_path"] == "-" else str(path)
    return Source.from_text(name, (run_root / "recipe.yaml").read_text(encoding="utf-8"))


def resumed_source(run_root: Path, inputs: Mapping[str, Any], *, accept_changes: bool) -> Source:
    """Give the recipe as started, or the changed one where that is accepted."""
    path = located(inputs["recipe_path"], run_root.parent)
    if not path.is_file():
        return _kept_source(run_root, inputs)
    present = read_recipe(path)
    if present.sha256 == inputs["recipe_sha256"] or accept_changes:
        return present
    raise UsageError(
        f"{path} changed since run {run_root.name} began",
        hint=how_to_accept(run_root),
        code="MS307",
    )


def kept_stubs(kept: Mapping[str, JsonValue]) -> Stubs | None:
    """Give what answers for steps of a run, as it was recorded; None where nothing does."""
    if not kept:
        return None
    from orchestrator.stubs import Stubs  # noqa: PLC0415  few runs have any

    return Stubs.from_json(kept)


def _return_to(directory: Path) -> None:
    """Go back to the directory in which the run was started, where its steps find their relative paths."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise InfrastructureError(
            f"the run was started in {directory}, which cannot be entered: {(error.strerror or '').lower()}",
            hint="make the directory available, or start a new run",
        ) from error
