"""Faults that the model finds, in our words, with what to do about each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.recipe.load import load_recipe
from orchestrator.sources import Source

StepTold = Callable[[str], list[tuple[str, str]]]


def problem_of(text: str) -> Problem:
    """Give the only problem of a recipe."""
    with pytest.raises(InvalidFileError) as caught:
        load_recipe(Source.from_text("r.yaml", text))
    (problem,) = caught.value.problems
    return problem


def step_problem(keys: str) -> Problem:
    """Give the only problem of a shell step to which keys were added."""
    return problem_of(f"steps: [{{name: a, type: shell, run: [x], {keys}}}]")


@pytest.mark.parametrize(
    ("keys", "message", "todo"),
    [
        ("description: 5", "expected text, got 5", "put it in quotes: '5'"),
        ("description: [a]", "expected text, got a list", ""),
        ("tags: smoke", "expected a list, got 'smoke'", "write [smoke]"),
        ("tags: {a: 1}", "expected a list, got a mapping", "begin each item with '- '"),
        ("parallel: yes", "expected true or false, got 'yes'", "write true or false, without quotes"),
        ("idx: '1'", "expected a whole number, got '1'", "remove the quotes"),
        ("idx: 1.5", "expected a whole number, got 1.5", ""),
        ("args: [a]", "expected a mapping, got a list", ""),
        ("retry: 3", "expected a mapping, got 3", ""),
        ("retry: {max: -1}", "expected at least 0, got -1", ""),
        ("retry: {max: 5000}", "expected at most 1000, got 5000", ""),
        ("retry: {on: [eror]}", "expected one of error, timeout, oom; got 'eror'", "did you mean 'error'?"),
        ("resources: {memory_gb: 0}", "expected more than 0, got 0", ""),
        ("resources: {cores: true}", "expected a whole number, got true", ""),
        ("when: true", "expected text, got true", "put it in quotes: 'true'"),
        ("locks: ['']", "expected text, got nothing", "write it, or remove the key"),
        ("timeout: ", "expected a duration, got null", "write seconds, or '30s', '5m', '2h', '1d'"),
        ("env: {A: [1]}", "expected text, a number or a boolean, got a list", "give larger values by 'args'"),
    ],
)
def test_wrong_values_are_told_plainly(keys: str, message: str, todo: str) -> None:
    """What was expected, what was found, and what to write."""
    problem = step_problem(keys)

    assert (problem.code, problem.message, problem.help) == ("MS106", message, todo)


@pytest.mark.parametrize(
    ("keys", "todo"),
    [
        ("timout: 5", "did you mean 'timeout'?"),
        ("operator_keey: hpc.default", "did you mean 'operator_key'?"),
        ("dependsOn: [b]", "did you mean 'depends_on'?"),
        ("zzz: 1", "remove it, or check its indentation"),
        ("command: x", "write 'run'"),
        ("if: x", "write 'when'"),
        ("module: x", "only steps of type python have it"),
        ("instructions: x", "only steps of type human have it"),
        ("retry: {maxx: 1}", "did you mean 'max'?"),
        ("success: {expects: [a]}", "did you mean 'expect'?"),
    ],
)
def test_unknown_keys_are_answered(keys: str, todo: str) -> None:
    """With the key that was meant, or the way that it is said here."""
    problem = step_problem(keys)

    assert (problem.code, problem.help) == ("MS101", todo)


@pytest.mark.parametrize("name", ["default", "type", "python"])
def test_names_that_are_also_keys_confuse_nobody(name: str) -> None:
    """An input may be called like a key of the language."""
    problem = problem_of(f"inputs: {{{name}: {{type: path, defalt: x}}}}\nsteps: [{{name: a, type: shell, run: [x]}}]")

    assert (problem.message, problem.help) == ("unknown key 'defalt'", "did you mean 'default'?")


@pytest.mark.parametrize(
    ("keys", "todo"),
    [
        ("run: [x]", "add 'type: shell'"),
        ("module: a.b", "add 'type: python'"),
        ("uses: b.yaml", "add 'type: recipe'"),
        ("instructions: Look.", "add 'type: human'"),
        ("config: {a: 1}", "add 'type: experiment'"),
    ],
)
def test_a_missing_type_is_told_from_the_other_keys(keys: str, todo: str) -> None:
    """What the step says shows which type it is."""
    problem = problem_of(f"steps: [{{name: a, {keys}}}]")

    assert (problem.code, problem.message, problem.help) == ("MS107", "step 'a' lacks the key 'type'", todo)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("inpus: {n: {default: 1}}\nsteps: [{name: a, type: shell, run: [x], args: {n: '${{ inputs.n }}'}}]", "inputs"),
        ("varss: {n: 1}\nsteps: [{name: a, type: shell, run: [x], args: {n: '${{ vars.n }}'}}]", "vars"),
        ("steps: [{name: a, type: shell, run: [x], foreahc: [1], args: {n: '${{ item }}'}}]", "foreach"),
        ("steps: [{name: a, type: shell, run: [x], matrx: {n: [1]}, args: {n: '${{ item.n }}'}}]", "matrix"),
    ],
)
def test_what_a_misspelt_key_declares_is_not_missed(text: str, meant: str) -> None:
    """Only the key is wrong, not each expression that names what stands below it."""
    problem = problem_of(text)

    assert (problem.code, problem.help) == ("MS101", f"did you mean {meant!r}?")


def test_a_misspelt_type_key_is_an_unknown_key() -> None:
    """The key is there, only wrong."""
    problem = problem_of("steps: [{name: a, tpye: shell, run: [x]}]")

    assert (problem.code, problem.message, problem.help) == ("MS101", "unknown key 'tpye'", "did you mean 'type'?")


def test_a_wrong_type_is_marked_itself() -> None:
    """Not the whole step."""
    problem = problem_of("steps: [{name: a, type: pyton}]")

    assert str(problem.place) == "r.yaml:1:25"
    assert problem.message == "expected one of python, shell, human, experiment, recipe, workflow; got 'pyton'"
    assert problem.help == "did you mean 'python'?"


def test_a_missing_key_says_what_it_is_for() -> None:
    """The help is the key's own description."""
    problem = problem_of("steps: [{name: a, type: human}]")

    assert problem.message == "step 'a' lacks the key 'instructions'"
    assert problem.help == "instructions: What the person is asked, in Markdown."


def test_a_step_that_is_no_mapping_is_marked() -> None:
    """The item of the list is wrong, not the list."""
    problem = problem_of("steps: [7]")

    assert (str(problem.place), problem.message) == ("r.yaml:1:9", "expected a mapping, got 7")


def test_every_item_of_a_command_is_checked(step_told: StepTold) -> None:
    """Numbers are not text, and which text they would become is for the writer to say."""
    text = "steps: [{name: a, type: shell, run: [sleep, 5, 1.0]}]"

    with pytest.raises(InvalidFileError) as caught:
        load_recipe(Source.from_text("r.yaml", text))

    assert [problem.message for problem in caught.value.problems] == ["expected text, got 5", "expected text, got 1.0"]


def test_a_default_that_does_not_fit_is_marked_itself() -> None:
    """The default and not the input is wrong."""
    problem = problem_of("inputs: {a: {type: number, default: x}}\nsteps: [{name: a, type: shell, run: [x]}]")

    assert (str(problem.place), problem.code) == ("r.yaml:1:37", "MS209")
    assert problem.message == "the default does not fit: expected number, got 'x'"


def test_long_values_are_shown_cut() -> None:
    """A page of text in a message helps nobody."""
    assert len(step_problem(f"parallel: {'x' * 5_000}").message) < 120
