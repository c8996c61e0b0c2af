"""``self-test`` says whether everything works on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop

Call = Callable[..., Answer]


def test_a_machine_that_is_fine_passes(call: Call, workshop: Workshop) -> None:
    """Steps run in both places, and the current directory is what it was."""
    answer = call("self-test")

    assert (answer.status, answer.stdout) == (0, "")
    assert answer.stderr == " ok   worker steps\n ok   inline steps\n"
    assert Path.cwd() == workshop.folder


def test_a_machine_without_a_shell_does_not_pass(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is told."""
    monkeypatch.setenv("PATH", "/nowhere")

    answer = call("self-test")

    assert answer.status == 1
    assert answer.stderr.startswith(" FAIL worker steps: measure: ")
    assert "cannot start 'sh': no such file or directory" in answer.stderr
