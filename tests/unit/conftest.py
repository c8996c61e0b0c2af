"""Give tests a folder to run recipes in."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workshop import Workshop


@pytest.fixture(name="workshop")
def _workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Make the folder the current one, and no setting of the outer environment count."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MATTERSTACK_WORKSPACES", raising=False)
    workshop = Workshop(folder=folder)
    workshop.write("matterstack.toml", "")
    workshop.copy("steps.py")
    return workshop


@pytest.fixture(name="feed")
def _feed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes on standard input."""

    def feed(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

    return feed
