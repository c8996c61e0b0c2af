"""Read operators.yaml strictly, and say everything that is wrong with it at once, each fault at its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.errors import Place, Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.recipe.validate import part_problems
from orchestrator.recipe.words import closest, shown
from orchestrator.sources import DocPath, Source, refusal
from orchestrator.strict_yaml import scan
from orchestrator.wiring.keys import KINDS, complaint, kind_of
from orchestrator.wiring.model import (
    BACKENDS,
    IDLE,
    OPERATORS,
    PROFILES,
    Backend,
    Operator,
    ProfileBackend,
    WiringDefaults,
)
from orchestrator.wiring.older import OlderCluster, read_beside, written_out
from orchestrator.wiring.plugins import OperatorPlugin, Unusable, find_plugin

CODE = "MS214"

_SECTIONS = ("defaults", "profiles", "operators")
_TELLS_SECRET = re.compile(r"passw|secret|token|passphrase|private_key", re.IGNORECASE)
# Addresses that let in whoever knows them.
_LETS_IN = re.compile(r"webhook|://[^/\s]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What one operator key means here; ``max_concurrent`` is None where there is no limit.

    ``plugin`` makes the operator where the backend is that of another distribution.
    """

    key: str
    operator: Operator
    backend: Backend | None
    max_concurrent: int | None
    plugin: type[OperatorPlugin] | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing carries out yet what the key is wired to."""
        return isinstance(self.backend, IDLE)

    @property
    def kind(self) -> str:
        """Give the kind of the operator."""
        return kind_of(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What all operator keys mean at a site, with the text that says so."""

    source: Source = field(repr=False)
    operators: Mapping[str, Wired]
    max_concurrent_global: int | None

    @property
    def sha256(self) -> str:
        """Give the digest of the file's bytes."""
        return self.source.sha256

    def place(self, key: str) -> Place:
        """Give where an operator is wired."""
        return self.source.place(("operators", key), of_key=True)


def read_wiring(source: Source, workspace: Path | None = None, *, folder: Path | None = None) -> Wiring:
    """Give the wiring that a file holds; raise one `InvalidFileError` with every problem of it.

    The project of the ``workspace`` says which other distributions may bring backends. Where the ``folder`` of the file
    is told, each hpc.yaml that it names is read, and the wiring's source holds what that says in its place.
    """
    reading = scan(source)
    if reading.problems or not isinstance(reading.value, dict):
        message = f"expected a mapping with the key 'operators', got {shown(reading.value)}"
        wrong = Problem("MS106", message, source.place(()), "write 'operators:' and what each key means here")
        raise refusal(reading.problems or [wrong])
    document = reading.value
    older = _older_clusters(document, folder) if folder is not None else {}
    problems = [*_problems(document, source, workspace), *(wrong for one in older.values() for wrong in one.problems)]
    if problems:
        raise refusal([without_secret(problem) for problem in problems])
    if older:
        return read_wiring(written_out(source, older), workspace)
    shared = WiringDefaults.model_validate(document.get("defaults") or {}).max_concurrent_global
    profiles: Any = document.get("profiles") or {}
    entries: Any = document["operators"]
    operators = {key: _wired(key, entry, profiles, shared, workspace) for key, entry in entries.items()}
    return Wiring(source=source, operators=operators, max_concurrent_global=shared)


def _older_clusters(document: Mapping[str, JsonValue], folder: Path) -> dict[DocPath, OlderCluster]:
    """Read the older files that backends name, by where these stand."""
    entries = document.get("operators")
    found: dict[DocPath, OlderCluster] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        backend = entry.get("backend") if isinstance(entry, dict) else None
        if isinstance(backend, dict) and backend.get("type") == "hpc_yaml" and isinstance(backend.get("path"), str):
            found["operators", key, "backend"] = read_beside(str(backend["path"]), folder)
    return found


def _wired(
    key: str, entry: Mapping[str, Any], profiles: Mapping[str, Any], shared: int | None, workspace: Path | None
) -> Wired:
    operator = OPERATORS[kind_of(key)].model_validate(entry)
    said = getattr(operator, "backend", None)
    found = _plugin(said, kind_of(key), workspace)
    plugin = found if isinstance(found, type) else None
    kinds: Mapping[str, type[Any]] = BACKENDS[kind_of(key)]
    backend = None
    if said:
        backend = (plugin.backend if plugin else kinds[said["type"]]).model_validate(said)
    if isinstance(backend, ProfileBackend):
        profile = profiles[backend.name]
        backend = PROFILES[profile["type"]].model_validate(profile)
    limit = operator.max_concurrent if "max_concurrent" in operator.model_fields_set else shared
    return Wired(key=key, operator=operator, backend=backend, max_concurrent=limit, plugin=plugin)  # type: ignore[arg-type]


def _plugin(backend: JsonValue, kind: str, workspace: Path | None) -> type[OperatorPlugin] | Unusable | None:
    """Give what brings a backend that is none of ours; None where nothing does, for operators of this kind."""
    name = backend.get("type") if isinstance(backend, dict) else None
    if not isinstance(name, str) or name in BACKENDS[kind]:
        return None
    found = find_plugin(name, workspace)
    return None if isinstance(found, type) and kind not in found.kinds else found


def _problems(document: Mapping[str, JsonValue], source: Source, workspace: Path | None) -> Iterator[Problem]:
    for name in document:
        if name not in _SECTIONS:
            place = source.place((name,), of_key=True)
            yield Problem("MS101", f"unknown key {shown(name)}", place, did_you_mean(name, _SECTIONS))
    defaults, profiles = _part(document, "defaults"), _part(document, "profiles")
    for name, part in (("defaults", defaults), ("profiles", profiles)):
        if not isinstance(part, dict):
            yield Problem("MS106", f"expected a mapping, got {shown(part)}", source.place((name,)), "")
            return
    yield from part_problems(WiringDefaults, defaults, ("defaults",), source)
    for name, profile in profiles.items():
        yield from _backend_problems(profile, PROFILES, ("profiles", name), "a profile", source)
    if not _is_misspelt("operators", document):
        known = None if _is_misspelt("profiles", document) else profiles
        yield from _all_operators_problems(document.get("operators"), known, source, workspace)


def _all_operators_problems(
    operators: JsonValue, profiles: Mapping[str, JsonValue] | None, source: Source, workspace: Path | None
) -> Iterator[Problem]:
    if not isinstance(operators, dict) or not operators:
        place = source.place(("operators",))
        yield Problem("MS107", "there are no operators", place, "as in: local.default: { kind: local, … }")
        return
    for key, entry in operators.items():
        yield from _operator_problems(key, entry, profiles, source, workspace)


def _is_misspelt(section: str, document: Mapping[str, JsonValue]) -> bool:
    """Tell whether a section is missing because its key is misspelt, which is told of."""
    return section not in document and any(closest(name, _SECTIONS) == section for name in document)


def _part(document: Mapping[str, JsonValue], name: str) -> Any:  # noqa: ANN401  whatever stands there
    """Give a part of the file that may be left out, or have nothing in it."""
    found = document.get(name)
    return {} if found is None else found


def _operator_problems(
    key: str, entry: JsonValue, profiles: Mapping[str, JsonValue] | None, source: Source, workspace: Path | None
) -> Iterator[Problem]:
    path: DocPath = ("operators", key)
    if wrong := complaint(key):
        yield Problem(CODE, wrong, source.place(path, of_key=True), _how_to_name(key))
        return
    kind = kind_of(key)
    if not isinstance(entry, dict):
        yield Problem("MS106", f"expected a mapping, got {shown(entry)}", source.place(path), f"write 'kind: {kind}'")
        return
    if "kind" in entry and entry["kind"] != kind:
        message = f"the key {key!r} has the kind {kind!r}, not {shown(entry['kind'])}"
        yield Problem(CODE, message, source.place((*path, "kind")), f"write 'kind: {kind}', or rename the key")
        return
    if kind == "human" and "backend" in entry:
        place = source.place((*path, "backend"), of_key=True)
        yield Problem("MS101", "people have no backend", place, "remove it; 'notify' says how they are told")
        return
    yield from part_problems(OPERATORS[kind], entry, path, source)
    if "backend" in entry:
        plugin = _plugin(entry["backend"], kind, workspace)
        if isinstance(plugin, Unusable):
            yield Problem(CODE, plugin.message, source.place((*path, "backend", "type")), plugin.hint)
            return
        kinds: dict[str, type[BaseModel]] = {**BACKENDS[kind]}
        if plugin is not None:
            kinds[str(entry["backend"]["type"])] = plugin.backend
        yield from _backend_problems(entry["backend"], kinds, (*path, "backend"), f"{kind} operators", source)
        yield from _profile_problems(entry["backend"], profiles, (*path, "backend"), source)


def _how_to_name(key: str) -> str:
    """Say how a key that is wrong is written, or how keys are."""
    if not complaint(key.lower()):
        return f"write {key.lower()!r}"
    kind, dot, name = key.partition(".")
    meant = f"{closest(kind, KINDS)}{dot}{name}"
    examples = ", ".join(f"{kind}.default" for kind in KINDS)
    return f"as in: {examples}" if complaint(meant) else f"did you mean {meant!r}?"


def _backend_problems(
    backend: JsonValue, kinds: Mapping[str, type[BaseModel]], path: DocPath, owner: str, source: Source
) -> Iterator[Problem]:
    if not isinstance(backend, dict):
        yield Problem("MS106", f"expected a mapping, got {shown(backend)}", source.place(path), "write { type: … }")
    elif "type" not in backend:
        yield _without_type(backend, kinds, path, source)
    elif not isinstance(backend["type"], str) or backend["type"] not in kinds:
        message = f"{owner} have no backend {shown(backend['type'])}".replace("a profile have", "a profile has")
        yield Problem("MS106", message, source.place((*path, "type")), did_you_mean(str(backend["type"]), kinds))
    else:
        yield from part_problems(kinds[backend["type"]], backend, path, source)


def _without_type(
    backend: Mapping[str, JsonValue], kinds: Mapping[str, type[BaseModel]], path: DocPath, source: Source
) -> Problem:
    if mistyped := closest("type", backend):
        place = source.place((*path, mistyped), of_key=True)
        return Problem("MS101", f"unknown key {mistyped!r}", place, "did you mean 'type'?")
    return Problem("MS107", "the key 'type' is missing", source.place(path), f"one of {', '.join(kinds)}")


def _profile_problems(
    backend: JsonValue, profiles: Mapping[str, JsonValue] | None, path: DocPath, source: Source
) -> Iterator[Problem]:
    if isinstance(backend, dict) and backend.get("type") == "profile" and isinstance(backend.get("name"), str):
        name = str(backend["name"])
        if profiles is not None and name not in profiles:
            hint = did_you_mean(name, profiles) or "write it under 'profiles'"
            yield Problem("MS106", f"there is no profile {name!r}", source.place((*path, "name")), hint)


def without_secret(problem: Problem) -> Problem:
    """Show no line in which somebody seems to have written a secret."""
    place = problem.place
    if place is None or not (_TELLS_SECRET.search(place.text) or _LETS_IN.search(place.text)):
        return problem
    is_one = _TELLS_SECRET.search(problem.message)
    hint = "no secret is written in this file: use an SSH agent or a key file" if is_one else problem.help
    return Problem(problem.code, problem.message, Place(place.file, place.line, place.column), hint)


def built_in() -> Wiring:
    """Give the wiring where nobody gave any: this machine, and people and instruments by files."""
    return read_wiring(Source.from_text("(built in)", _BUILT_IN))


_BUILT_IN = """\
operators:
  local.default: { kind: local, backend: { type: local } }
  human.default: { kind: human }
  experiment.default: { kind: experiment, backend: { type: files } }
"""
