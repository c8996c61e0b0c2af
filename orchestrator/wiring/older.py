"""Read the older hpc.yaml, which describes one cluster, and write what it says into operators.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.recipe.validate import part_problems
from orchestrator.recipe.words import shown
from orchestrator.sources import DocPath, Source, read_source
from orchestrator.strict_yaml import scan
from orchestrator.wiring.model import PROFILES

# The cluster may stand under one of these, or be the whole document.
_BELOW = ("hpc", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderCluster:
    """What an hpc.yaml means as a backend, and all that is wrong with it, each fault at its place there."""

    backend: Mapping[str, JsonValue] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_cluster(source: Source) -> OlderCluster:
    """Read the cluster of an hpc.yaml; without a ``type`` it is one of Slurm."""
    reading = scan(source)
    if reading.problems:
        return OlderCluster(problems=tuple(reading.problems))
    return cluster_at(*_cluster(reading.value), source)


def cluster_at(path: DocPath, cluster: JsonValue, source: Source) -> OlderCluster:
    """Give what a part of an older file means, which stands at ``path``."""
    if not isinstance(cluster, dict):
        wrong = Problem("MS106", f"expected a mapping, got {shown(cluster)}", source.place(path), "describe a cluster")
        return OlderCluster(problems=(wrong,))
    backend: dict[str, JsonValue] = {"type": "slurm", **cluster}
    kind = backend["type"]
    if not isinstance(kind, str) or kind not in PROFILES:
        hint = did_you_mean(str(kind), PROFILES)
        wrong = Problem("MS106", f"there is no backend {shown(kind)}", source.place((*path, "type")), hint)
        return OlderCluster(problems=(wrong,))
    return OlderCluster(backend=backend, problems=tuple(part_problems(PROFILES[kind], backend, path, source)))


def read_beside(name: str, folder: Path) -> OlderCluster:
    """Read the cluster of a file that is named relative to a folder; that it cannot be read is a problem too."""
    try:
        return read_cluster(read_source(folder / name))
    except InvalidFileError as error:
        return OlderCluster(problems=tuple(error.problems))


def written_out(source: Source, clusters: Mapping[DocPath, OlderCluster]) -> Source:
    """Give the text of operators.yaml with clusters in the places of the backends that named their files."""
    text = source.text
    spans = {source.span(path): cluster for path, cluster in clusters.items()}
    for (start, end), cluster in sorted(spans.items(), key=lambda item: item[0], reverse=True):
        # What a block mapping spans ends where the next one begins.
        after = text[len(text[:end].rstrip()) :]
        text = f"{text[:start]}{json.dumps(cluster.backend, ensure_ascii=False)}{after}"
    return Source.from_text(source.name, text)


def _cluster(document: JsonValue) -> tuple[DocPath, JsonValue]:
    if isinstance(document, dict):
        for name in _BELOW:
            if name in document:
                return (name,), document[name]
    return (), document
