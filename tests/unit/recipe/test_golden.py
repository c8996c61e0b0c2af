"""What broken recipes look like to the person who wrote them: whole frames, to be read by people."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.plan import check_recipe
from orchestrator.recipe.load import load_recipe
from orchestrator.sources import Source

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_broken_recipe_is_explained(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames are those of the text file beside the recipe."""
    shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidFileError) as caught:
        check_recipe(path.name)

    shown = caught.value.explained().replace(str(tmp_path), "(project)")
    assert f"{shown}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_example_of_the_whole_language_loads() -> None:
    """Every construct of the language stands in it, and none is in another's way."""
    source = Source.from_bytes("example.yaml", (Path(__file__).parent / "example.yaml").read_bytes())

    loaded = load_recipe(source)

    assert [step.name for step in loaded.recipe.every_step()] == [
        "load",
        "relax",
        "review",
        "measure",
        "summary",
        "collect_logs",
        "power_off",
    ]
    assert loaded.warnings == ()
