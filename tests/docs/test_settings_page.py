"""The page of settings lists every variable that the program reads or sets, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.workers import pool
from tests.docs.documents import REFERENCE, ROOT, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "settings.md"
VARIABLE = re.compile(r'"(MATTERSTACK_[A-Z_]*[A-Z])"|environ\.get\("([A-Z_]+)"')


def test_variables_are_those_of_the_code() -> None:
    """Nothing is read from the environment that the page does not tell, and nothing told that is not read."""
    testing = ROOT / "orchestrator" / "testing"
    files = (path for path in (ROOT / "orchestrator").rglob("*.py") if not path.is_relative_to(testing))
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    used = {first or second for first, second in VARIABLE.findall(sources)}

    assert {row[0] for row in rows(section(PAGE, "## Environment variables"))} == used


def test_variables_that_steps_do_not_see_are_named() -> None:
    """The page names each variable that is kept from steps."""
    text = section(PAGE, "## Environment variables")

    assert [name for name in (*pool._DROPPED_NAMES, *pool._DROPPED_PREFIXES) if f"`{name}" not in text] == []


def test_example_gives_what_it_shows(checkout: Path) -> None:
    """A module that the project allows is found and run."""
    follow(checkout, PAGE)
