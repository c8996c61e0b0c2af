"""The page of scriptlets lists all that ship, the lifecycle table, and envelopes that are envelopes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli.scriptlets_command import command
from orchestrator.envelope import parse_envelope
from orchestrator.lifecycle import lifecycle_table
from tests.docs.documents import REFERENCE, ROOT, blocks, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "scriptlets.md"


def shipped(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Give what the program itself says about the scriptlets of this checkout."""
    monkeypatch.chdir(ROOT)
    listed = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    return [[entry["module"], entry["class"], entry["summary"].replace("``", "`")] for entry in listed]


def test_every_step_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step that ships stands with its class and what it does."""
    steps = [entry for entry in shipped(monkeypatch) if ".core." not in entry[0]]

    assert rows(section(PAGE, "## What ships")) == steps


def test_every_core_scriptlet_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each core scriptlet stands with its class and what it does."""
    core = [entry for entry in shipped(monkeypatch) if ".core." in entry[0]]

    assert rows(section(PAGE, "## Core scriptlets"))[len(lifecycle_table()) :] == core


def test_lifecycle_is_that_of_the_program() -> None:
    """The page says which core scriptlets run when."""
    table = [[happening, ", ".join(names)] for happening, names in lifecycle_table().items()]

    assert rows(section(PAGE, "## Core scriptlets"))[: len(table)] == table


@pytest.mark.parametrize("line", [block.text for block in blocks(PAGE) if block.language == "json"])
def test_envelope_is_one(line: str) -> None:
    """What the page shows as an envelope is read as one."""
    assert parse_envelope(line).to_json() == json.loads(line)


def test_examples_give_what_they_show(checkout: Path) -> None:
    """Every scriptlet of the page is run by hand."""
    follow(checkout, PAGE)
