"""The documents hang together: links lead somewhere, every page can be reached, and no machine shows through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT, documents

LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")
MACHINE = re.compile(r"/(?:root|work|tmp|Users)/")


def links(document: Path) -> list[tuple[Path, str]]:
    """Give the files, and the headings in them, that a document links to."""
    text = document.read_text(encoding="utf-8")
    return [((document.parent / path).resolve() if path else document, anchor) for path, anchor in LINK.findall(text)]


def anchors(document: Path) -> set[str]:
    """Give the names under which the headings of a document are linked to."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    """Each link names a file that exists and, where it names one, a heading of it."""
    broken = [
        (path.name, anchor)
        for path, anchor in links(document)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]

    assert broken == []


def test_every_page_can_be_reached() -> None:
    """From the README, links lead to each page and picture."""
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [path for path, _ in (links(page) if page.suffix == ".md" else ())]

    assert {*DOCS.rglob("*.md"), *DOCS.rglob("*.svg")} - reached == set()


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_no_path_of_a_machine_is_shown(document: Path) -> None:
    """Outputs are shown without the folders of whoever wrote them."""
    assert MACHINE.findall(document.read_text(encoding="utf-8")) == []
