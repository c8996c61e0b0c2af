"""Inputs are given as text or as JSON, have their type, keep to their bounds, or have their default."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalog import Project
from orchestrator.errors import NotJsonSafeError, UsageError
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue
from orchestrator.recipe.load import load_recipe
from orchestrator.recipe.model import Input
from orchestrator.sources import Source

NOWHERE = Project(recipe_folder=Path("/nowhere"), root=Path("/nowhere"))


def declared(text: str) -> dict[str, Input]:
    """Declare inputs as a recipe does."""
    steps = "steps: [{name: a, type: shell, run: [x]}]\n"
    return load_recipe(Source.from_text("r.yaml", f"inputs: {{{text}}}\n{steps}")).recipe.inputs


def settled(declaration: str, value: JsonValue) -> JsonValue:
    """Give the one input ``x`` a value."""
    return settle_inputs(declared(f"x: {{{declaration}}}"), {"x": value}, NOWHERE)["x"]


def refused(text: str, given: dict[str, JsonValue]) -> tuple[str, str]:
    """Give message and hint of a refusal."""
    with pytest.raises(UsageError) as caught:
        settle_inputs(declared(text), given, NOWHERE)
    assert (caught.value.code, caught.value.exit_status) == ("MS209", 2)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "3", "3"),
        ("string", "", ""),
        ("string", "a: b", "a: b"),
        ("path", "data/1.csv", "data/1.csv"),
        ("integer", "3", 3),
        ("integer", "-0", 0),
        ("integer", "012", 12),
        ("number", "2.5", 2.5),
        ("number", "1e3", 1000.0),
        ("number", "3", 3),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("array", "[1, two, 3.0]", [1, "two", 3.0]),
        ("array", "- 1\n- 2\n", [1, 2]),
        ("object", "{a: 1, b: {c: null}}", {"a": 1, "b": {"c": None}}),
    ],
)
def test_text_is_read_as_its_type_needs(kind: str, text: str, value: JsonValue) -> None:
    """As ``--set`` gives it; only text and paths stay as they are."""
    found = settled(f"type: {kind}", text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "3"),
        ("integer", 3),
        ("number", 3),
        ("number", 0.5),
        ("boolean", False),
        ("array", []),
        ("object", {}),
    ],
)
def test_a_json_value_is_taken_as_it_is(kind: str, value: JsonValue) -> None:
    """As a program gives it."""
    assert settled(f"type: {kind}", value) == value


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        ("integer", "2.5", "expected integer, got 2.5"),
        ("integer", "", "expected integer, got ''"),
        ("integer", True, "expected integer, got true"),
        ("number", "many", "expected number, got 'many'"),
        ("number", False, "expected number, got false"),
        ("boolean", "yes", "expected boolean, got 'yes'"),
        ("boolean", 1, "expected boolean, got 1"),
        ("string", 3, "expected string, got 3"),
        ("path", None, "expected path, got null"),
        ("array", "{}", "expected array, got a mapping"),
        ("object", "[]", "expected object, got a list"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: JsonValue, complaint: str) -> None:
    """It is shown as it was understood."""
    assert refused(f"x: {{type: {kind}}}", {"x": value}) == (f"input 'x': {complaint}", f"its type is {kind}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-1", "expected at least 0, got -1"),
        ("4.5", "expected at most 4, got 4.5"),
    ],
)
def test_a_number_keeps_to_its_bounds(text: str, complaint: str) -> None:
    """The description says what the number means."""
    declaration = "x: {type: number, minimum: 0, maximum: 4, description: how far to go}"

    assert refused(declaration, {"x": text}) == (f"input 'x': {complaint}", "how far to go")


@pytest.mark.parametrize("text", ["0", "4"])
def test_bounds_are_allowed_themselves(text: str) -> None:
    """Least and most are meant."""
    assert settled("type: integer, minimum: 0, maximum: 4", text) == int(text)


def test_a_value_is_one_of_its_choices() -> None:
    """They are listed for whoever chose another."""
    assert settled("type: string, choices: [north, south]", "south") == "south"
    assert refused("x: {type: string, choices: [north, south]}", {"x": "east"}) == (
        "input 'x': expected one of 'north', 'south', got 'east'",
        "its type is string",
    )


def test_choices_are_compared_as_values() -> None:
    """Text is typed before."""
    assert settled("type: integer, choices: [1, 2]", "2") == 2


def test_an_input_has_its_default() -> None:
    """Those that are given do not."""
    inputs = declared("a: {type: integer, default: 1}, b: {type: integer, default: 1}")

    assert settle_inputs(inputs, {"b": "2"}, NOWHERE) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("declaration", "wanted"),
    [
        ("type: integer", "it is of type integer"),
        ("type: integer, description: how many", "it is 'how many'"),
    ],
)
def test_an_input_without_a_default_must_be_given(declaration: str, wanted: str) -> None:
    """What it means is said, and how to give it."""
    message = f"input 'x' has no value; {wanted}"

    assert refused(f"x: {{{declaration}}}", {}) == (message, "add --set x=VALUE")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("cutoff: {type: number, default: 1}", "did you mean 'cutoff'?"),
        ("site: {type: string, default: x}", "known: site"),
        ("", "the recipe declares no inputs"),
    ],
)
def test_an_unknown_input_is_answered_with_what_there_is(text: str, hint: str) -> None:
    """A misspelt input would silently leave the default."""
    assert refused(text, {"cutof": 1}) == ("the recipe has no input 'cutof'", hint)


@pytest.mark.parametrize("text", ["[1", "{a: 1, a: 2}", "*gone", "\x00"])
def test_text_that_is_no_value_is_refused(text: str) -> None:
    """With the reason that a recipe would give."""
    message, hint = refused("x: {type: array}", {"x": text})

    assert message.startswith("input 'x': ")
    assert hint == "give a number, true, false, [..] or {..}"


def test_a_value_that_json_cannot_carry_is_refused() -> None:
    """The run keeps its inputs as JSON."""
    with pytest.raises(NotJsonSafeError, match=r"^input x\[0\] is nan"):
        settled("type: array", [float("nan")])


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("here", "recipes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Project(recipe_folder=tmp_path / "recipes", root=tmp_path)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["here", "recipes", "."], "a.csv"),
        (["recipes", "."], "recipes/a.csv"),
        (["."], "./a.csv"),
        ([], "a.csv"),
    ],
)
def test_a_default_path_is_looked_up(project: Project, there: list[str], found: str) -> None:
    """From the current directory, the recipe's folder, then the project; one that is nowhere stays as written."""
    for folder in there:
        (project.root / folder / "a.csv").touch()

    path = settle_inputs(declared("src: {type: path, default: a.csv}"), {}, project)["src"]

    assert path == ("a.csv" if found == "a.csv" else str(project.root / found))


def test_a_path_that_is_given_stays_as_it_is(project: Project) -> None:
    """Whoever gives it means it from where they are."""
    (project.root / "a.csv").touch()

    assert settle_inputs(declared("src: {type: path}"), {"src": "a.csv"}, project) == {"src": "a.csv"}


def test_a_default_that_is_no_path_is_not_looked_up(project: Project) -> None:
    """Text that happens to name a file is text."""
    (project.root / "a.csv").touch()

    assert settle_inputs(declared("src: {type: string, default: a.csv}"), {}, project) == {"src": "a.csv"}
