"""Let the tests run with requirements.txt alone."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the setting of pytest-timeout where that plugin is missing, as strict configuration demands."""
    if find_spec("pytest_timeout") is None:
        parser.addini("timeout", "seconds that one test may take; without pytest-timeout nothing enforces it")
