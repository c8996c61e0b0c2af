"""Read the table that says which core scriptlets run when something happens to a run or a task."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml

import scriptlets.core

TABLE_NAME = "lifecycle.yaml"


@functools.cache
def lifecycle_table() -> dict[str, tuple[str, ...]]:
    """Give the names of the core scriptlets for each happening, in the order in which they run."""
    text = (Path(scriptlets.core.__file__).parent / TABLE_NAME).read_text(encoding="utf-8")
    table: dict[str, list[str]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return {happening: tuple(names) for happening, names in table.items()}
