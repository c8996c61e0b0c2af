"""The glossary can be looked things up in."""

from __future__ import annotations

from tests.docs.documents import DOCS, rows

WORDS = [row[0] for row in rows((DOCS / "glossary.md").read_text(encoding="utf-8"))]


def test_words_are_in_order() -> None:
    """They stand as in a dictionary, each once."""
    assert sorted(set(WORDS)) == WORDS


def test_words_are_used() -> None:
    """Each is a word of the other pages."""
    pages = [path.read_text(encoding="utf-8").lower() for path in DOCS.rglob("*.md") if path.name != "glossary.md"]

    assert [word for word in WORDS if not any(word in page for page in pages)] == []
