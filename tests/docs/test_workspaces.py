"""Workspaces that ship are what their pages show: their commands are typed, and their pictures are drawn again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks, documents
from tests.docs.terminal import Exchange, follow, type_in

PAGES = [page for page in documents() if page.name == "README.md" and (page.parent / "operators.yaml").exists()]
NAMES = [page.parent.relative_to(ROOT / "workspaces").as_posix() for page in PAGES]


def test_every_workspace_is_listed() -> None:
    """On the page above them."""
    above = (ROOT / "workspaces" / "README.md").read_text(encoding="utf-8")

    assert [name for name in NAMES if f"]({name}/README.md)" not in above] == []
    assert len(NAMES) == 5


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_workspace_gives_what_its_page_shows(page: Path, checkout: Path) -> None:
    """Command by command."""
    follow(checkout, page)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_picture_is_that_of_the_steps(page: Path, checkout: Path) -> None:
    """As the program draws it; what it says beside the picture is for people."""
    (shown,) = [block.text for block in blocks(page) if block.language == "mermaid"]

    seen = type_in(
        checkout, Exchange(command=f"matterstack graph {page.parent.relative_to(ROOT)} 2>/dev/null", shown="")
    )

    assert seen == shown
