"""The page of evidence describes the bundle as its schema does, and its example runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.evidence.draft import FileState
from tests.docs.documents import REFERENCE, ROOT, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "evidence.md"
SCHEMA = json.loads((ROOT / "orchestrator" / "schema" / "evidence-bundle-1.json").read_text(encoding="utf-8"))


def test_keys_are_those_of_the_schema() -> None:
    """Of the bundle and of its part ``data``, each with its meaning, in the same order."""
    listed = [row[0] for row in rows(section(PAGE, "## bundle.json"))]

    assert listed == [*SCHEMA["properties"], *SCHEMA["properties"]["data"]["properties"]]


@pytest.mark.parametrize("part", ["task", "attempt", "artifact"])
def test_keys_of_each_part_are_named(part: str) -> None:
    """A page that lacks one would leave a reader of bundles to guess."""
    text = PAGE.read_text(encoding="utf-8")

    assert [key for key in SCHEMA["$defs"][part]["properties"] if f"`{key}`" not in text] == []


def test_states_of_files_are_those_of_the_program() -> None:
    """Each has its row."""
    assert [row[0] for row in rows(section(PAGE, "## Files of attempts"))] == [state.value for state in FileState]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there are no coreutils")
def test_example_gives_what_it_shows(checkout: Path) -> None:
    """An evidence is made, and checked by another program."""
    follow(checkout, PAGE)
