"""What the report says is there is there, and is proved by the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.documents import DOCS, ROOT, rows
from tests.docs.terminal import follow

PAGE = DOCS / "DevGuides" / "v0.2.7_Report.md"
ROWS = rows(PAGE.read_text(encoding="utf-8"))


def has_test(name: str) -> bool:
    """Tell whether a file has this test, given as ``file::test``."""
    path, _, test = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == test for node in tree.body)


def test_every_place_is_there() -> None:
    """Each row names files or folders of the checkout."""
    places = [place for _, where, _ in ROWS for place in where.split("` `")]

    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_test_is_there() -> None:
    """Each row names tests that exist."""
    names = [name for _, _, proof in ROWS for name in re.findall(r"tests/[\w/.]+::\w+", proof)]

    assert len(names) >= len(ROWS)
    assert [name for name in names if not has_test(name)] == []


def test_the_example_gives_what_it_shows(checkout: Path) -> None:
    """Command by command."""
    follow(checkout, PAGE)
