"""Give the tests of the documentation a copy of the checkout, installed as a reader's would be."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

COPIED = (
    "Makefile",
    "README.md",
    "data",
    "docs",
    "orchestrator",
    "pyproject.toml",
    "recipes",
    "requirements.txt",
    "scriptlets",
    "workspaces",
)
PROGRAMS = {"matterstack": f"{sys.executable} -P -m orchestrator", "python": sys.executable}


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """Make a copy of the checkout whose ``.venv/bin`` holds the program and the interpreter that runs the tests."""
    folder = tmp_path / "matterstack"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("runs"))
        else:
            shutil.copy2(source, folder / name)
    for name, command in PROGRAMS.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / ".venv" / ".stamp").touch()
    return folder
