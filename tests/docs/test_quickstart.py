"""What the README and the quickstart tell a reader to do works, and gives what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT
from tests.docs.terminal import Exchange, exchanges, follow, matches, type_in


def test_readme_does_what_it_says(checkout: Path) -> None:
    """Every file and command of the README, in order, gives what is shown."""
    follow(checkout, ROOT / "README.md")


def test_quickstart_does_what_it_says(checkout: Path) -> None:
    """Every file and command of the quickstart, in order, gives what is shown."""
    follow(checkout, DOCS / "quickstart.md")
