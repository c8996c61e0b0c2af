"""What is begun runs at once, and nothing that exists is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.testing.conformance import check_scriptlet
from tests.unit.cli.program import Answer

Call = Callable[..., Answer]

ROOT = Path(__file__).resolve().parents[3]


def test_a_new_recipe_runs(call: Call) -> None:
    """With the scriptlet that is written beside it."""
    answer = call("new", "recipe", "screening.yaml")

    assert answer.stdout.splitlines() == ["screening.yaml", "screening.py"]
    assert call("validate", "screening.yaml").status == 0
    assert call("run", "screening.yaml", "--isolation", "inline").json["outputs"] == {"mean": 0.5}


def test_a_new_scriptlet_keeps_the_contract(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, with good params and with bad ones."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert call("new", "scriptlet", "steps/relax_atoms.py").status == 0

    check_scriptlet([sys.executable, str(Path("steps/relax_atoms.py").absolute())], {"count": 2})


def test_a_new_project_runs(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own folder, in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert call("new", "project", "my-Lab").status == 0
    command = [sys.executable, "-m", "orchestrator", "run", "recipes/my_lab.yaml", "-q"]

    ended = subprocess.run(command, cwd="my-Lab", capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in Path("my-Lab/workspaces").iterdir()] == ["my_lab"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("recipe", "r.yaml"), "r.yaml exists already"),
        (("recipe", "r.txt"), "does not end in .yaml"),
        (("recipe", "two words.yaml"), "'two words' cannot name a step and a class"),
        (("scriptlet", "r.yaml"), "does not end in .py"),
    ],
)
def test_what_cannot_be_begun_is_refused(call: Call, words: tuple[str, ...], reason: str) -> None:
    """Nothing is written."""
    Path("r.yaml").write_text("mine")
    before = sorted(Path().iterdir())

    answer = call("new", *words)

    assert (answer.status, reason in answer.stderr) == (2, True)
    assert sorted(Path().iterdir()) == before
    assert Path("r.yaml").read_text() == "mine"
