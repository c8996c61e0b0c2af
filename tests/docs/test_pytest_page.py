"""The page of recipes as tests lists what there is, and its example does what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.recipe.model import PytestOptions
from tests.conftest import is_installed
from tests.docs.documents import REFERENCE, rows
from tests.docs.terminal import follow

PAGE = REFERENCE / "pytest.md"


def test_keys_and_options_are_listed(pytestconfig: pytest.Config) -> None:
    """All of them."""
    listed = [row[0] for row in rows(PAGE.read_text(encoding="utf-8"))]

    assert [name for name in PytestOptions.model_fields if name not in listed] == []
    assert [name.split()[0] for name in listed if name.startswith("--")] == [
        "--recipe-set",
        "--recipe-run-dir",
        "--recipe-keep",
    ]


@pytest.mark.skipif(not is_installed(), reason="the plugin is found where the program is installed")
def test_the_example_gives_what_it_shows(checkout: Path) -> None:
    """A case that passes and one that fails."""
    (checkout / "tests").mkdir(exist_ok=True)
    follow(checkout, PAGE)
