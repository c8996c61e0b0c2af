"""A scriptlet class is found in its file, and the error says why when it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.context import Context
from orchestrator.errors import ScriptletError
from orchestrator.workers import loading
from orchestrator.workers.calls import PythonCall
from orchestrator.workers.loading import load_class
from scriptlets.steps import compute_median

CLASS = "from orchestrator import BaseScriptlet\nclass Step(BaseScriptlet):\n    number = {}\n"


def number_in(path: Path, digest: str) -> object:
    """Load the class and read what was written into it."""
    return load_class(path, "numbered_step", "Step", digest).number  # type: ignore[attr-defined]


def test_a_class_is_loaded_again_only_when_its_file_changed(tmp_path: Path) -> None:
    """The digest decides."""
    path = tmp_path / "step.py"
    path.write_text(CLASS.format(1))
    assert number_in(path, "one") == 1

    path.write_text(CLASS.format(22))

    assert number_in(path, "one") == 1
    assert number_in(path, "two") == 22


def test_a_module_that_is_imported_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a test patched is what runs."""
    name = compute_median.__name__
    monkeypatch.setitem(sys.modules, name, compute_median)
    monkeypatch.setattr(loading, "_loaded", {})

    found = load_class(Path(compute_median.__file__), name, "ComputeMedian", "x")

    assert found is compute_median.ComputeMedian


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    """Two projects may both have a step called step."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "step.py").write_text(CLASS.format(repr(folder)))

    assert number_in(tmp_path / "a" / "step.py", "x") == "a"
    assert number_in(tmp_path / "b" / "step.py", "x") == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Step = 1", "'Step' in .*/step.py is not a scriptlet class"),
        ("class Step: pass", "'Step' in .*/step.py is not a scriptlet class"),
        ("", "'Step' in .*/step.py is not a scriptlet class"),
        ("import no_such_module", "importing .*/step.py failed: ModuleNotFoundError: No module named 'no_such_module'"),
        ("class Step(", "importing .*/step.py failed: SyntaxError"),
    ],
)
def test_what_is_no_scriptlet_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """By its file and the reason."""
    path = tmp_path / "step.py"
    path.write_text(text)

    with pytest.raises(ScriptletError, match=message):
        load_class(path, "wrong_step", "Step", "x")


def test_a_module_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a module is not found by the next import."""
    path = tmp_path / "step.py"
    path.write_text("raise RuntimeError('no licence')")

    with pytest.raises(ScriptletError, match="RuntimeError: no licence"):
        load_class(path, "half_a_step", "Step", "x")

    assert "half_a_step" not in sys.modules


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Python files end in .py."""
    (tmp_path / "step.txt").write_text("")

    with pytest.raises(ScriptletError, match="cannot be imported as Python") as caught:
        load_class(tmp_path / "step.txt", "text_step", "Step", "x")

    assert caught.value.hint == "name the file with the ending .py"


def test_the_text_that_a_step_exits_with_goes_to_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As Python does it for a program."""
    path = tmp_path / "leaving.py"
    path.write_text(
        "import sys\nfrom orchestrator import BaseScriptlet\nclass Leaving(BaseScriptlet):\n"
        "    def run(self, ctx, params):\n        sys.exit('no calibration')\n"
    )
    target = PythonCall(path=path, module="leaving", class_name="Leaving", sha256="x")

    assert loading.run_class(target, "leave", {}, {}, Context()) == 1
    assert capsys.readouterr().err == "no calibration\n"
