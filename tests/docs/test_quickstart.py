"""What the README and the quickstart tell a reader to do works, and gives what they show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT, blocks
from tests.docs.terminal import LASTS, Exchange, follow, type_in


def test_readme_does_what_it_says(checkout: Path) -> None:
    """Every file and command of the README, in order, gives what is shown."""
    follow(checkout, ROOT / "README.md", changes={"sleep 3": f'"{LASTS}"'})


def test_readme_shows_files_that_ship() -> None:
    """Who clones the project can type the commands at once."""
    shown = [block for block in blocks(ROOT / "README.md") if block.file]

    assert shown
    assert all((ROOT / block.file).read_text(encoding="utf-8") == block.text for block in shown)


def test_quickstart_does_what_it_says(checkout: Path) -> None:
    """Every file and command of the quickstart, in order, gives what is shown."""
    follow(checkout, DOCS / "quickstart.md", changes={"sleep 1\n": f"{LASTS}\n"})


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_demonstration_shows_what_it_measured(checkout: Path) -> None:
    """``make demo`` runs the recipe that the README names and ends with its results."""
    seen = type_in(checkout, Exchange(command="make demo", shown=""))

    assert seen.startswith("speed_of_light.yaml")
    assert "light.stats_v1.mean             299.8524\n" in seen
