"""Bad recipes of every kind are refused before anything runs; each test bears the name of its row in the fault list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.recipe.model import HumanStep, ShellStep
from orchestrator.sources import Source, read_source

Load = Callable[[str], LoadedRecipe]
Told = Callable[[str], list[tuple[str, str, str]]]

STEP = "{name: a, type: shell, run: [x]}"
STEPS = f"steps: [{STEP}]\n"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [id]",
        "!!python/name:os.system x",
        "!!binary aGk=",
        "!custom {a: 1}",
        "!!set {a}",
    ],
)
def test_a1_tags_build_no_objects(told: Told, value: str) -> None:
    """A tag is refused where it stands, whatever it would build."""
    assert told(f"vars: {{a: {value}}}\n{STEPS}") == [("MS104", "r.yaml:1:11", "explicit tags ('!') are not used here")]


def test_a2_an_alias_bomb_is_refused(told: Told) -> None:
    """Nine lists of nine aliases each stand for 9^9 values."""
    lists = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    problems = told("\n".join(["vars:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"  {line}" for line in lists)]))

    assert problems[0][0::2] == ("MS109", "more than 600000 values")


def test_a2_ten_thousand_anchors_are_refused(told: Told) -> None:
    """No recipe needs them."""
    text = "vars:\n" + "".join(f"  a{n}: &a{n} 1\n" for n in range(10_000))

    assert told(text)[0][0::2] == ("MS109", "more than 1000 anchors")


@pytest.mark.parametrize("value", ["&x {b: *x}", "&a [*a]", "&a [[*a]]"])
def test_a2_a_value_inside_itself_is_refused(told: Told, value: str) -> None:
    """It would never end."""
    assert "stands inside what it names" in told(f"vars: {{a: {value}}}\n{STEPS}")[0][2]


def test_a3_a_file_of_200_megabytes_is_refused_unread(tmp_path: Path) -> None:
    """Its size alone is enough."""
    path = tmp_path / "r.yaml"
    path.touch()
    os.truncate(path, 200_000_000)

    with pytest.raises(InvalidFileError, match="is larger than 8388608 bytes"):
        read_source(path)


def test_a3_a_line_of_50_megabytes_is_refused() -> None:
    """Standard input has the same limit as a file."""
    with pytest.raises(InvalidFileError, match="is larger than 8388608 bytes"):
        Source.from_text("<stdin>", "a" * 50_000_000)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a3_a_hundred_thousand_levels_are_refused(told: Told, opening: str) -> None:
    """The reader does not recurse, so it stops at its limit and nowhere else."""
    assert told(opening * 100_000)[-1][0::2] == ("MS109", "nested deeper than 64 levels")


def test_a3_a_million_keys_are_refused(told: Told) -> None:
    """Each key and each value counts."""
    assert told("".join(f"{n:x}: \n" for n in range(1_000_000)))[0][0::2] == ("MS109", "more than 600000 values")


def test_a4_a_duplicate_key_is_refused(told: Told) -> None:
    """The last one does not silently win."""
    text = "steps:\n- {name: a, type: shell, run: [x], operator_key: hpc.default, operator_key: local.default}\n"

    assert told(text) == [("MS102", "r.yaml:2:63", "duplicate key 'operator_key' (first at line 2)")]


def test_a4_a_merge_does_not_change_where_a_step_runs(told: Told) -> None:
    """Merge keys are refused, so no step inherits a route unseen."""
    text = f"vars: {{base: &base {{operator_key: hpc.default}}}}\nsteps: [{{<<: *base, {STEP[1:]}]\n"

    assert told(text) == [("MS104", "r.yaml:2:10", "merge keys ('<<') are not used here")]


def test_a5_traps_of_yaml_11_are_text_or_plain_numbers(load: Load) -> None:
    """Times, dates and words stay what was written; a leading zero is no octal."""
    text = "vars: {a: 12:00:00, b: 1:30, c: 010, d: no, e: 1_000, f: 2026-01-31, on: y}\n"

    assert load(text + STEPS).recipe.vars == {
        "a": "12:00:00",
        "b": "1:30",
        "c": 10,
        "d": "no",
        "e": "1_000",
        "f": "2026-01-31",
        "on": "y",
    }


def test_a5_a_clock_time_is_no_duration(told: Told) -> None:
    """Read as seconds or minutes it would be thirty days or twelve hours."""
    text = "steps: [{name: a, type: shell, run: [x], resources: {time_limit: 12:00:00}}]"

    assert told(text) == [("MS106", "r.yaml:1:66", "expected a duration, got '12:00:00'")]


@pytest.mark.parametrize(
    "value", [".nan", "-.inf", "1e400", "1152921504606846976", '"\\ud800"', '"a\\0b"', "a\0b", '"\\e[31m"']
)
def test_a6_values_outside_json_are_refused(told: Told, value: str) -> None:
    """They would change on their way through other programs."""
    assert told(f"vars: {{a: {value}}}\n{STEPS}")[0][0] == "MS105"


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\ufeff", "\u2067"])
def test_a6_ids_have_no_invisible_characters(told: Told, hidden: str) -> None:
    """Neither step names nor keys look like others that they are not."""
    assert told(f"steps: [{{name: a{hidden}b, type: shell, run: [x]}}]")[0][0] == "MS201"
    assert told(f"vars: {{a{hidden}b: 1}}\n{STEPS}")[0][0] == "MS201"


def test_a7_a_misspelt_key_is_refused_with_the_right_one() -> None:
    """The frame shows the key, and what was meant."""
    with pytest.raises(InvalidFileError) as caught:
        load_recipe(Source.from_text("r.yaml", f"steps:\n- {STEP[:-1]}, operator_keey: hpc.default}}\n"))

    assert str(caught.value) == (
        "r.yaml:2:36: error[MS101]: unknown key 'operator_keey'\n"
        "    2 | - {name: a, type: shell, run: [x], operator_keey: hpc.default}\n"
        "      |                                    ^^^^^^^^^^^^^\n"
        "      = help: did you mean 'operator_key'?"
    )


def test_a8_several_documents_are_refused(told: Told) -> None:
    """One file is one recipe."""
    assert told(f"{STEPS}---\n{STEPS}") == [("MS104", "r.yaml:2:1", "a second document begins here")]


def test_a8_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    """Files from any editor mean the same."""
    raw = b"\xef\xbb\xbf" + STEPS.replace("\n", "\r\n").encode()

    assert load_recipe(Source.from_bytes("r.yaml", raw)).recipe == load_recipe(Source.from_text("r.yaml", STEPS)).recipe


def test_a8_utf16_is_refused() -> None:
    """It is named, and so is the way out."""
    with pytest.raises(InvalidFileError, match="expected UTF-8, got UTF-16"):
        Source.from_bytes("r.yaml", STEPS.encode("utf-16"))


def test_a8_tabs_do_not_indent(told: Told) -> None:
    """A tab is as wide as each editor likes."""
    assert told("steps:\n\t- a\n") == [("MS103", "r.yaml:2:1", "a tab cannot stand here")]


def test_a9_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Nothing is followed, and nothing is waited for."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "link.yaml").symlink_to("/etc/passwd")

    for path in (tmp_path, tmp_path / "pipe.yaml", tmp_path / "link.yaml", Path("/dev/zero")):
        with pytest.raises(InvalidFileError, match=r"is a (directory|pipe|symbolic link|device)"):
            read_source(path)


@pytest.mark.parametrize("key", ["include", "extends", "import"])
@pytest.mark.parametrize("target", ["/etc/passwd", "http://x/y.yaml", "../../x"])
def test_a10_recipes_include_nothing(told: Told, key: str, target: str) -> None:
    """There is no such key."""
    assert told(f"{key}: {target}\n{STEPS}") == [("MS101", "r.yaml:1:1", f"unknown key {key!r}")]


@pytest.mark.parametrize("target", ["/etc/passwd", "http://x/y.yaml", "../../x.yaml"])
def test_a10_a_recipe_used_by_another_lies_below_it(told: Told, target: str) -> None:
    """What a recipe may use is in its own folder."""
    assert told(f"steps: [{{name: a, type: recipe, uses: '{target}'}}]") == [
        ("MS205", "r.yaml:1:39", f"path {target!r} is not allowed")
    ]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ("[{name: a, depends_on: [b], type: shell, run: [x]}, {name: b, type: shell, run: [x]}]", "MS204"),
        ("[{name: a, depends_on: [a], type: shell, run: [x]}]", "MS204"),
        ("[{name: a, depends_on: [b], type: shell, run: [x]}]", "MS203"),
        (f"[{'{}, ' * 50_000}]", "MS109"),
    ],
    ids=["circle", "itself", "unknown", "50,000 steps"],
)
def test_a11_impossible_orders_are_refused(told: Told, steps: str, code: str) -> None:
    """The plan is known to end before anything begins."""
    assert [problem[0] for problem in told(f"steps: {steps}")] == [code]


LITERAL = "${HOME} {{x}} %(x)s $(id) `id` $x %x% #{x} <%= x %>"


def test_a12_text_of_other_template_languages_stays_text(load: Load) -> None:
    """Only our own expressions are ever evaluated."""
    text = f"""\
description: '{LITERAL}'
vars: {{a: '{LITERAL}'}}
steps:
- {{name: a, type: shell, run: ['{LITERAL}'], args: {{a: ['{LITERAL}']}}, env: {{A: '{LITERAL}'}}}}
- {{name: b, type: human, instructions: '{LITERAL}'}}
"""
    recipe = load(text).recipe
    shell, human = recipe.steps

    assert isinstance(shell, ShellStep)
    assert isinstance(human, HumanStep)
    assert [recipe.description, recipe.vars["a"], human.instructions] == [LITERAL] * 3
    assert (shell.run, shell.args, shell.env) == ((LITERAL,), {"a": [LITERAL]}, {"A": LITERAL})


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/abs",
        "a/b",
        ".",
        "..",
        "",
        "-rf",
        "CON",
        "nul",
        "Com1",
        "x" * 300,
        "a b",
        "a%2fb",
        "a.b",
        "a:b",
        "é",
        "e\u0301",
    ],
)
def test_c1_a_step_name_is_a_safe_folder_name(told: Told, name: str) -> None:
    """On every system, in every shell."""
    assert [problem[0] for problem in told(f"steps: [{{name: '{name}', type: shell, run: [x]}}]")] == ["MS201"]


@pytest.mark.parametrize(("escape", "code"), [("a\\nb", "MS201"), ("a\\n", "MS201"), ("a\\0b", "MS105")])
def test_c1_a_step_name_is_one_line_of_text(told: Told, escape: str, code: str) -> None:
    """A line end or a NUL inside a name would cut a path or forge a line of a log."""
    assert [problem[0] for problem in told(f'steps: [{{name: "{escape}", type: shell, run: [x]}}]')] == [code]


def test_c1_names_that_differ_in_case_are_twins(told: Told) -> None:
    """Two distinct steps never share a folder."""
    text = "steps: [{name: Relax, type: shell, run: [x]}, {name: relax, type: shell, run: [x]}]"

    assert told(text) == [
        ("MS202", "r.yaml:1:54", "step name 'relax' differs from 'Relax' only in case (first at line 1)")
    ]


@pytest.mark.parametrize("name", ["a", "A_b-c", "1st", "_x", "x" * 100, "console"])
def test_c1_ordinary_names_are_allowed(load: Load, name: str) -> None:
    """The rule costs nobody a good name."""
    assert load(f"steps: [{{name: '{name}', type: shell, run: [x]}}]").recipe.steps[0].name == name
