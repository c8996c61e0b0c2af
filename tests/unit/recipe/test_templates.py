"""Expressions: where they are evaluated, in which form, and that nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import Recipe, Step
from orchestrator.recipe.templates import RULES, STEP_RULES

Load = Callable[[str], LoadedRecipe]
Told = Callable[[str], list[tuple[str, str, str]]]
StepTold = Callable[[str], list[tuple[str, str]]]


def test_every_key_of_a_recipe_has_a_rule() -> None:
    """A key without one would carry expressions that nobody evaluates or refuses."""
    keys = {field.alias or name for name, field in Recipe.model_fields.items()}

    assert keys == set(RULES)


def test_every_key_of_a_step_has_a_rule() -> None:
    """The same for all types of steps."""
    keys = {key for kind in get_args(get_args(Step)[0]) for key in kind.model_fields}

    assert keys == set(STEP_RULES)


@pytest.mark.parametrize(
    "keys",
    [
        "foreach: [1], args: {a: '${{ inputs.x }}', b: ['n=${{ item.n }} of ${{ vars.n }}']}",
        "env: {A: '${{ inputs.x }}'}",
        "foreach: [1], files: {in.json: '${{ item }}', 'b.txt': {content: 'x ${{ item }}'}}",
        "foreach: [1], fetch: {required: ['out-${{ item }}.dat']}",
        "foreach: [1], success: {files_exist: ['out-${{ item }}.dat'], expect: ['result.n > 1']}",
        "cache: {files: ['${{ inputs.src }}']}, cache_key: '${{ env.SITE }}'",
        "foreach: '${{ ctx.candidates.list_v1 }}'",
        "foreach: [a, 'b ${{ inputs.x }}', {c: 1}]",
        "matrix: {a: '${{ vars.a }}', b: [1, 2]}",
        "when: len(ctx.a.b) > 1 and not ctx.c",
        "save: {a.energy_v1: result.json:energy_ev, a.b: out/r.json:x.y, a.c: result.energy}",
    ],
)
def test_expressions_stand_where_they_are_evaluated(load: Load, keys: str) -> None:
    """Values of a step may hold them, each in the form of its place."""
    declared = "inputs: {x: {type: integer}, src: {type: path}}\nvars: {a: [1], n: 2}\n"
    assert load(f"{declared}steps: [{{name: a, type: shell, run: [x], {keys}}}]")


@pytest.mark.parametrize(
    ("when", "column", "what"),
    [
        ("stpes.a.status == 'ok'", 49, "the name 'stpes' is not defined"),
        ("inputs.cutof > 1", 49, "'inputs' has no 'cutof'"),
        ("inputs['cutof'] > 1", 49, "'inputs' has no 'cutof'"),
        ("1 < vars.n", 53, "'vars' has no 'n'"),
        ("steps.b.status == 'ok'", 49, "'steps' has no 'b'"),
        ("all(x > y for x in [1])", 57, "the name 'y' is not defined"),
        ("any(x > 1 for x in [1]) or x > 1", 76, "the name 'x' is not defined"),
        ("any(x > 1 for x in [x])", 69, "the name 'x' is not defined"),
        ("any(inputs > 1 for inputs in [1]) and inputs.cutof > 1", 87, "'inputs' has no 'cutof'"),
        ("item > 1", 49, "the name 'item' is not defined"),
        ("result.n > 1", 49, "the name 'result' is not defined"),
    ],
)
def test_a_name_that_does_not_exist_is_found(told: Told, when: str, column: int, what: str) -> None:
    """Not only when the step is reached."""
    head = "inputs: {cutoff: {type: number}}\n"

    (found,) = told(f'{head}steps: [{{name: a, type: shell, run: [x], when: "{when}"}}]')

    assert found[:2] == ("MS207", f"r.yaml:2:{column}")
    assert what in found[2]


@pytest.mark.parametrize(
    "when",
    [
        "all(x > inputs.cutoff for x in ctx.a.b)",
        "steps['a'].status == 'ok'",
        "steps['a[Cu]'].status == 'ok'",
        "inputs[ctx.a.name_v1] > 1",
        "has(ctx, 'a.b') and env.SITE == 'x'",
        "len(item.n) > 1",
    ],
)
def test_names_that_only_a_run_knows_are_left_to_it(load: Load, when: str) -> None:
    """Loop variables, the context, computed names and the parts of a step are none of validation's business."""
    head = "inputs: {cutoff: {type: number}}\n"

    assert load(f'{head}steps: [{{name: a, type: shell, run: [x], foreach: [1], when: "{when}"}}]')


@pytest.mark.parametrize(
    "keys",
    [
        "tags: ['${{ x }}']",
        "locks: ['${{ x }}']",
        "timeout: '${{ x }}'",
        "depends_on: ['${{ x }}']",
        "stdout: '${{ x }}'",
    ],
)
def test_expressions_are_refused_where_none_is_evaluated(step_told: StepTold, keys: str) -> None:
    """Text that looks like one and stays text would be a trap."""
    assert step_told(keys) == [("MS207", "no expression is evaluated here")]


@pytest.mark.parametrize("keys", ["run: [echo, '${{ x }}']", "run: 'echo ${{ x }}'", "script: '${{ x }}.sh'"])
def test_commands_hold_no_expressions(told: Told, keys: str) -> None:
    """Arguments go by ``args`` or ``env``, so that no value becomes a command."""
    assert told(f"steps: [{{name: a, type: shell, {keys}}}]")[0][2] == "no expression is evaluated here"


def test_keys_hold_no_expressions(told: Told) -> None:
    """A key is what it says, at any depth."""
    assert told("vars: {a: {'${{ x }}': 1}}\nsteps: [{name: a, type: shell, run: [x]}]") == [
        ("MS207", "r.yaml:1:12", "no expression is evaluated in a key")
    ]


@pytest.mark.parametrize("keys", ["when: '${{ a }}'", "success: {expect: ['${{ a }}']}", "save: {a.b: '${{ a }}'}"])
def test_bare_expressions_are_bare(step_told: StepTold, keys: str) -> None:
    """Where only an expression can stand, its brackets are a mistake."""
    assert step_told(keys) == [("MS207", "expression '${{ a }}' cannot be read: '${{' inside an expression")]


@pytest.mark.parametrize("items", ["abc", "'a ${{ b }}'", "'${{ a'"])
def test_items_come_from_one_expression(step_told: StepTold, items: str) -> None:
    """Text with an expression in it is no list."""
    assert [code for code, _ in step_told(f"foreach: {items}")] == ["MS207"]


def test_the_character_that_is_wrong_is_marked(told: Told) -> None:
    """Inside quotes, and behind other text."""
    text = 'steps:\n- name: a\n  type: shell\n  run: [x]\n  args:\n    k: "n ${{ 1 + }} of ${{ 2 ! }}"\n'

    assert told(text)[0][1] == "r.yaml:6:18"


def test_text_changed_by_folding_is_marked_as_a_whole(told: Told) -> None:
    """Where the file and the value differ, the value's first line is marked."""
    text = "steps:\n- name: a\n  type: shell\n  run: [x]\n  when: >\n    1 +\n    +\n"

    assert told(text)[0][1] == "r.yaml:5:9"


def test_descriptions_are_free(load: Load) -> None:
    """What is for people is never read as anything else."""
    assert load("description: a ${{ b\nsteps: [{name: a, description: 'c ${{ d', type: shell, run: [x]}]")


@pytest.mark.parametrize(
    "keys",
    [
        "foreach: '${{ [item] }}'",
        "foreach: [1], when: result.n > 1",
        "args: {a: '${{ item }}'}",
        "save: {a.x_v1: item}",
    ],
)
def test_item_and_result_are_known_where_they_have_a_value(told: Told, keys: str) -> None:
    """An item only below a fan-out, the envelope only when a step has ended."""
    (problem,) = told(f"steps: [{{name: a, type: shell, run: [x], {keys}}}]")

    assert "is not defined" in problem[2]
