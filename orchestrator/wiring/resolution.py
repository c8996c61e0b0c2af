"""Choose the wiring that is in force: of all that there is, the one from the strongest source."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import yaml

from orchestrator.errors import InfrastructureError, InvalidFileError, MatterStackError, Problem, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.sources import Source, read_source, refusal
from orchestrator.strict_yaml import parse
from orchestrator.wiring.kept import KeptWiring
from orchestrator.wiring.older import OlderCluster, cluster_at, read_cluster
from orchestrator.wiring.options import FILE_NAME, VARIABLE, WiringOptions
from orchestrator.wiring.reading import Wiring, built_in, read_wiring, without_secret

PROFILES_NAME = "profiles.yaml"


class WiringSource(IntEnum):
    """Where a wiring comes from; the highest of those that there are is in force."""

    NONE = 0
    LEGACY_PROFILE = 1
    LEGACY_HPC_CONFIG = 2
    ENV_VAR = 3
    WORKSPACE_DEFAULT = 4
    RUN_PERSISTED = 5
    CLI_OVERRIDE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The wiring in force, its source, and the file that it was read from, if it was read from one."""

    source: WiringSource
    wiring: Wiring = field(repr=False)
    path: Path | None = None


def resolve_wiring(workspace: Path, options: WiringOptions, persisted: Resolved | None = None) -> Resolved:
    """Give the wiring that is in force for a run of a workspace; ``persisted`` is what the run has kept.

    What stands below the strongest source is not read. Raises `UsageError` for a file that an option names and that is
    not there, `InvalidFileError` with all that is wrong with the file in force, and `InfrastructureError` for one that
    somebody else could have written.
    """
    for path, option in (
        (options.operators_config, "--operators-config"),
        (options.hpc_config, "--hpc-config"),
        (options.profiles_config, "--config"),
    ):
        if path is not None:
            _existing(path, option)
    return next(_candidates(workspace, options, persisted))


def resolved_from(kept: KeptWiring, run_root: Path) -> Resolved:
    """Give the wiring that a run has kept."""
    wiring = read_wiring(Source.from_text("operators_snapshot/operators.yaml", kept.text), run_root.parent.parent)
    path = Path(kept.resolved_path) if kept.resolved_path else None
    return Resolved(source=WiringSource.RUN_PERSISTED, wiring=wiring, path=path)


def unused_variable(workspace: Path, sha256: str) -> dict[str, str] | None:
    """Give the file that the variable names, where it is another than the wiring with this digest.

    With it comes the digest of what it says, empty where it cannot be read.
    """
    if not (named := os.environ.get(VARIABLE)):
        return None
    path = Path(named).absolute()
    try:
        found = _read(WiringSource.ENV_VAR, path, workspace).wiring.sha256
    except MatterStackError:
        found = ""
    return None if found == sha256 else {"path": str(path), "sha256": found}


def changed_file(workspace: Path, kept: KeptWiring) -> Path | None:
    """Give the operators.yaml that a run's wiring came from, where that is still there and says something else."""
    places = {
        WiringSource.WORKSPACE_DEFAULT.name: workspace / FILE_NAME,
        WiringSource.ENV_VAR.name: Path(kept.resolved_path),
        WiringSource.CLI_OVERRIDE.name: Path(kept.resolved_path),
    }
    path = places.get(kept.source)
    if path is None or not path.is_file():
        return None
    try:
        found = _read(WiringSource[kept.source], path, workspace).wiring.sha256
    except MatterStackError:
        found = ""
    return None if found == kept.sha256 else path.absolute()


def _candidates(workspace: Path, options: WiringOptions, persisted: Resolved | None) -> Iterator[Resolved]:
    """Give the wirings that there are, strongest source first, each read when it is asked for."""
    if options.operators_config is not None:
        yield _read(WiringSource.CLI_OVERRIDE, options.operators_config, workspace)
    if persisted is not None:
        yield persisted
    default = workspace / FILE_NAME
    if default.exists() or default.is_symlink():
        _check_owner(default)
        yield _read(WiringSource.WORKSPACE_DEFAULT, default, workspace)
    if named := os.environ.get(VARIABLE):
        path = _existing(Path(named), f"${VARIABLE}")
        _check_owner(path)
        yield _read(WiringSource.ENV_VAR, path, workspace)
    if options.hpc_config is not None:
        yield _from_hpc_config(options.hpc_config)
    if options.profile is not None:
        path = options.profiles_config or Path(PROFILES_NAME)
        yield _from_profile(options.profile, _existing(path, "--config"))
    yield Resolved(source=WiringSource.NONE, wiring=built_in())


def _read(source: WiringSource, path: Path, workspace: Path) -> Resolved:
    wiring = read_wiring(read_source(path), workspace, folder=path.absolute().parent)
    return Resolved(source=source, wiring=wiring, path=path.absolute())


def _existing(path: Path, named_by: str) -> Path:
    try:
        is_there = path.exists()
    except OSError:
        is_there = False
    if not is_there:
        raise UsageError(f"{named_by}: {path} does not exist", hint="check the path; nothing else is tried instead")
    return path


def _check_owner(path: Path) -> None:
    """Refuse a file that is found, not named, and that others could have put there: it says which programs run."""
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"{path} leads nowhere", hint="remove the link, or mend it") from error
    is_folder = stat.S_ISDIR(found.st_mode)  # which is told of by who reads it
    if not is_folder and (found.st_uid not in {os.getuid(), 0} or found.st_mode & stat.S_IWOTH):
        hint = f"look at it, then chmod o-w {path}, or name it with --operators-config"
        raise InfrastructureError(f"{path} belongs to somebody else, or everybody may write it", hint=hint)


def _from_hpc_config(path: Path) -> Resolved:
    """Make the wiring that an older file, which describes one cluster, stands for."""
    return _generated(WiringSource.LEGACY_HPC_CONFIG, path, read_cluster(read_source(path)))


def _from_profile(name: str, path: Path) -> Resolved:
    """Make the wiring that a profile of an older file stands for."""
    source = read_source(path)
    document = parse(source)
    if not isinstance(document, dict):
        raise InvalidFileError([Problem("MS106", "expected a mapping", source.place(()), "describe a cluster")])
    above, profiles = (("profiles",), document["profiles"]) if "profiles" in document else ((), document)
    if not isinstance(profiles, dict) or name not in profiles:
        hint = did_you_mean(name, profiles if isinstance(profiles, dict) else ())
        raise UsageError(f"{path} has no profile {name!r}", hint=hint)
    return _generated(WiringSource.LEGACY_PROFILE, path, cluster_at((*above, name), profiles[name], source))


def _generated(source: WiringSource, path: Path, cluster: OlderCluster) -> Resolved:
    """Write operators.yaml for a cluster that an older file describes, beside what is built in."""
    if cluster.problems:
        raise refusal([without_secret(problem) for problem in cluster.problems])
    operators = {
        "local.default": {"kind": "local", "backend": {"type": "local"}},
        "hpc.default": {"kind": "hpc", "backend": dict(cluster.backend)},
        "human.default": {"kind": "human"},
        "experiment.default": {"kind": "experiment", "backend": {"type": "files"}},
    }
    text = yaml.safe_dump({"operators": operators}, sort_keys=False, allow_unicode=True)
    wiring = read_wiring(Source.from_text(f"(from {path})", text))
    return Resolved(source=source, wiring=wiring, path=path.absolute())
