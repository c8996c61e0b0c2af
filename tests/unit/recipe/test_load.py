"""Loading: a recipe and its places, or all that is wrong with it at once."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.sources import Source

Load = Callable[[str], LoadedRecipe]
Told = Callable[[str], list[tuple[str, str, str]]]

SHELL = "type: shell, run: [x]"
TWO_FALLING = f"steps:\n- {{idx: 2, name: late, {SHELL}}}\n- {{idx: 1, name: early, {SHELL}}}\n"


def test_a_recipe_keeps_its_source(load: Load) -> None:
    """The bytes that were read are known for as long as the recipe is."""
    loaded = load(f"steps: [{{name: a, {SHELL}}}]")

    assert loaded.source == Source.from_text("r.yaml", f"steps: [{{name: a, {SHELL}}}]")
    assert loaded.warnings == ()


def test_every_step_has_a_place(load: Load) -> None:
    """A run-time error points into the file by the step's name and the path below it."""
    loaded = load(f"steps:\n- {{name: a, {SHELL}}}\nfinally:\n- {{name: b, {SHELL}, success: {{expect: ['1 > 2']}}}}\n")

    assert str(loaded.place("a")) == "r.yaml:2:3"
    assert str(loaded.place("b", "success", "expect", 0)) == "r.yaml:4:55"
    assert str(loaded.place("b", "success", of_key=True)) == "r.yaml:4:36"


def test_steps_without_a_schema_are_sorted_by_number_with_a_warning(load: Load) -> None:
    """The first recipes were written so, and still run."""
    loaded = load(TWO_FALLING)

    assert [step.name for step in loaded.recipe.steps] == ["early", "late"]
    assert [warning.message for warning in loaded.warnings] == [
        "idx 1 of step 'early' does not rise above idx 2 of 'late'"
    ]


def test_sorted_steps_keep_their_places(load: Load) -> None:
    """The file is as it was written."""
    assert str(load(TWO_FALLING).place("early")) == "r.yaml:3:3"


def test_numbers_rise_where_a_schema_is_named(told: Told) -> None:
    """There the list is the order, and a number that says otherwise is a mistake."""
    assert told("schema: matterstack/recipe/v1\n" + TWO_FALLING) == [
        ("MS210", "r.yaml:4:9", "idx 1 of step 'early' does not rise above idx 2 of 'late'")
    ]


@pytest.mark.parametrize("schema", ["matterstack/recipe/v2", "1", "null", "''"])
def test_another_schema_is_refused_without_further_complaints(told: Told, schema: str) -> None:
    """A file in a language of the future is not measured by today's."""
    (problem,) = told(f"schema: {schema}\nnovelty: 1\n")

    assert problem[:2] == ("MS106", "r.yaml:1:9")
    assert problem[2].startswith("expected the schema 'matterstack/recipe/v1', got ")


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "5\n", "~\n"])
def test_a_file_that_is_no_mapping_is_refused(told: Told, text: str) -> None:
    """The message says what a recipe begins with."""
    assert told(text)[0][2].startswith("expected a mapping with the key 'steps', got ")


def test_steps_are_required_and_not_empty(told: Told) -> None:
    """A recipe without steps does nothing."""
    assert told("license: MIT\n") == [("MS107", "r.yaml:1:1", "the key 'steps' is missing")]
    assert told("steps: []\n") == [("MS106", "r.yaml:1:8", "a recipe has at least one step")]


def test_problems_of_every_kind_come_at_once_in_file_order(told: Told) -> None:
    """YAML, keys, expressions, names and dependencies are told in one go."""
    text = f"""\
licence: MIT
inputs: {{a: {{type: number, default: .nan}}}}
steps:
- {{name: a, {SHELL}, when: 'a >'}}
- {{name: a, {SHELL}, depends_on: [c]}}
- {{name: b, {SHELL}, retry: {{max: many}}}}
"""
    assert [(code, place) for code, place, _ in told(text)] == [
        ("MS101", "r.yaml:1:1"),
        ("MS105", "r.yaml:2:37"),
        ("MS207", "r.yaml:4:46"),
        ("MS202", "r.yaml:5:10"),
        ("MS203", "r.yaml:5:49"),
        ("MS106", "r.yaml:6:49"),
    ]


def test_one_fault_is_told_once(told: Told) -> None:
    """A value that YAML refuses is not blamed again for being null, nor a misspelt key for the one that is missing."""
    assert [message for _, _, message in told("steps: [{name: !x a, type: shell, run: [x]}]")] == [
        "explicit tags ('!') are not used here"
    ]
    assert [message for _, _, message in told("steps: [{nam: a, type: shell, run: [x]}]")] == ["unknown key 'nam'"]


def test_faults_of_all_steps_are_found(told: Told) -> None:
    """The model stops at the first wrong step of a list; the loader goes on."""
    text = "steps:\n" + f"- {{name: a, {SHELL}}}\n- {{nam: b, {SHELL}}}\n" * 2 + f"finally:\n- {{nom: c, {SHELL}}}\n"

    assert [place for code, place, _ in told(text) if code == "MS101"] == ["r.yaml:3:4", "r.yaml:5:4", "r.yaml:7:4"]


def test_more_than_twenty_thousand_steps_are_refused(told: Told) -> None:
    """Such a recipe is generated, and 'foreach' says it better."""
    text = "steps:\n" + "- {}\n" * 20_001

    assert told(text) == [("MS109", "r.yaml:1:1", "20001 steps are more than 20000")]


def test_more_than_ten_thousand_faults_are_not_listed(told: Told) -> None:
    """A file that is wrong everywhere is probably no recipe."""
    text = "".join(f"k{number}: 1\n" for number in range(10_001))

    assert told(text) == [("MS109", "r.yaml:1:1", "10002 keys or values are wrong")]


def test_the_collector_runs_again_after_loading() -> None:
    """Pausing it for speed ends with the loading, also when that fails."""
    with pytest.raises(InvalidFileError):
        load_recipe(Source.from_text("r.yaml", "a: ["))

    assert gc.isenabled()
