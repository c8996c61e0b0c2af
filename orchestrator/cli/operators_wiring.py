"""Find what operator keys mean, for the commands that look at operators or steer them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.cli.options import read_wiring_options
from orchestrator.errors import InfrastructureError, InvalidFileError, MatterStackError, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.paths import workspaces_of, workspaces_root
from orchestrator.store.database import reading, update_legacy
from orchestrator.store.finding import find_run
from orchestrator.store.wirings import read_kept
from orchestrator.wiring.model import SlurmBackend
from orchestrator.wiring.options import WiringOptions
from orchestrator.wiring.reading import Wired
from orchestrator.wiring.resolution import Resolved, resolve_wiring, resolved_from


def wiring_in_force(workspace: str | None, run: str | None, options: Mapping[str, Any]) -> Resolved:
    """Give the wiring of a workspace, of what a run has kept, or of what every workspace has; errors as there."""
    root = workspaces_root(options["workspaces_dir"])
    persisted = _kept(find_run(run, root)) if run else None
    folder = find_run(run, root).parent.parent if run else root / (workspace or "")
    if workspace and not folder.is_dir():
        known = [found.relative_to(root).as_posix() for found in workspaces_of(root)]
        raise UsageError(f"there is no workspace {workspace!r} below {root}", hint=did_you_mean(workspace, known))
    return resolve_wiring(folder, read_wiring_options(options), persisted)


def chosen(found: Resolved, keys: tuple[str, ...]) -> list[Wired]:
    """Give the operators of some keys, or all where none is named; raise `UsageError` for a key that is not wired."""
    known = found.wiring.operators
    for key in keys:
        if key not in known:
            where = f" in {found.path}" if found.path else ""
            raise UsageError(
                f"there is no operator {key!r}{where}", hint=did_you_mean(key, known) or f"known: {', '.join(known)}"
            )
    return [known[key] for key in keys] if keys else list(known.values())


def wiring_of_run(run_root: Path) -> Resolved:
    """Give the wiring that a run has kept, or of its workspace where it has kept none."""
    return resolve_wiring(run_root.parent.parent, WiringOptions(), _kept(run_root))


def nowhere(key: str, root: Path) -> str:
    """Say for people that no workspace has an operator key; nothing where one has it."""
    wirings, faults = _everywhere(root, WiringOptions())
    known = {found for one in wirings for found in one.wiring.operators}
    if key in known:
        return ""
    unread = f" ({len(faults)} cannot be read)" if faults else ""
    return f"no operators.yaml of the workspaces names {key!r}{unread}; {did_you_mean(key, known)}"


def cluster_of(name: str, workspace: str | None, run: str | None, options: Mapping[str, Any]) -> SlurmBackend:
    """Give the backend that is reached over SSH and that an operator key, or the name of its host, stands for.

    Where neither a workspace, a run nor a file is named, it is looked for in all workspaces. Raises `UsageError` where
    there is none, or several that differ, and what is wrong with a wiring where no other has it.
    """
    root, asked = workspaces_root(options["workspaces_dir"]), read_wiring_options(options)
    is_named = workspace or run or options["operators_config"]
    wirings, faults = ([wiring_in_force(workspace, run, options)], []) if is_named else _everywhere(root, asked)
    found = {
        wired.backend.ssh: wired.backend
        for one in wirings
        for wired in one.wiring.operators.values()
        if isinstance(wired.backend, SlurmBackend)
        and wired.backend.ssh is not None
        and name in (wired.key, wired.backend.ssh.host)
    }
    if faults and not found:
        raise faults[0]
    if len(found) != 1:
        what = f"{len(found)} clusters are wired to" if found else "no cluster that is reached over SSH is wired to"
        hint = "name the workspace: --workspace SLUG" if found or not is_named else "see: matterstack operators list"
        raise UsageError(f"{what} {name!r}", hint=hint)
    return next(iter(found.values()))


def _everywhere(root: Path, asked: WiringOptions) -> tuple[list[Resolved], list[MatterStackError]]:
    """Give the wirings of all workspaces, and what is wrong with those that cannot be read."""
    found: list[Resolved] = []
    faults: list[MatterStackError] = []
    for folder in (root, *workspaces_of(root)):
        try:
            found.append(resolve_wiring(folder, asked))
        except (InvalidFileError, InfrastructureError) as error:
            faults.append(error)
    return found, faults


def _kept(run_root: Path) -> Resolved | None:
    update_legacy(run_root)
    with reading(run_root) as database:
        kept = read_kept(database)
    return resolved_from(kept, run_root) if kept else None
