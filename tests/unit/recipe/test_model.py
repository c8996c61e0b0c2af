"""The recipe language: what each key may hold, and what it is when left out."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import (
    ExperimentStep,
    HumanStep,
    Input,
    PythonStep,
    Recipe,
    RecipeStep,
    Retry,
    ShellStep,
)

Load = Callable[[str], LoadedRecipe]
StepTold = Callable[[str], list[tuple[str, str]]]

EVERY_TYPE = """
schema: matterstack/recipe/v1
steps:
  - {name: a, type: python, module: scriptlets.steps.load_numbers}
  - {name: b, type: shell, run: echo}
  - {name: c, type: human, instructions: Look.}
  - {name: d, type: experiment}
  - {name: e, type: recipe, uses: ./sub/summary.yaml}
"""


def test_each_type_of_step_has_its_own_keys(load: Load) -> None:
    """The type of a step chooses which keys it has."""
    kinds = [type(step) for step in load(EVERY_TYPE).recipe.steps]

    assert kinds == [PythonStep, ShellStep, HumanStep, ExperimentStep, RecipeStep]


def test_a_step_that_says_little_has_quiet_defaults(load: Load) -> None:
    """What is left out changes nothing."""
    step = load(EVERY_TYPE).recipe.steps[0]

    assert isinstance(step, PythonStep)
    assert (step.depends_on, step.when, step.timeout, step.retry, step.cache) == (None, None, None, None, None)
    assert (step.args, step.env, step.files, step.save, step.tags, step.parallel) == ({}, {}, {}, {}, (), False)
    assert (step.success.exit_code, step.success.expect, step.fetch.required) == (0, (), ())


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ("module: scriptlets.steps.compute_numbers", "ComputeNumbers"),
        ("module: ./scriptlets/relax_surface.py", "RelaxSurface"),
        ("module: relax.py", "Relax"),
        ("module: a.b, function: Other", "Other"),
    ],
)
def test_the_class_follows_from_the_module(load: Load, keys: str, name: str) -> None:
    """Without ``function`` the class is the module's last part in CamelCase."""
    step = load(f"steps: [{{name: a, type: python, {keys}}}]").recipe.steps[0]

    assert isinstance(step, PythonStep)
    assert step.class_name == name


def test_a_recipe_does_not_change(load: Load) -> None:
    """Whoever holds a recipe can rely on it."""
    recipe = load(EVERY_TYPE).recipe

    with pytest.raises(ValidationError, match="Instance is frozen"):
        recipe.license = "MIT"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30.0), ("0.5", 0.5), ("30s", 30.0), ("5m", 300.0), ("2h", 7200.0), ("1.5d", 129600.0)],
)
def test_durations_become_seconds(load: Load, text: str, seconds: float) -> None:
    """A bare number is seconds; a unit says otherwise."""
    assert load(f"timeout: {text}\nsteps: [{{name: a, type: shell, run: [x]}}]").recipe.timeout == seconds


@pytest.mark.parametrize("text", ["0", "-1", "5 m", "1h30m", "12:00:00", "true", "''", "[]", "99999d", "5w"])
def test_other_texts_are_no_durations(step_told: StepTold, text: str) -> None:
    """What could be read in two ways is refused."""
    assert step_told(f"timeout: {text}")[0][1].startswith("expected a duration")


@pytest.mark.parametrize("text", ["2", "1x", "0.5x", "x", "-2x"])
def test_growth_is_a_factor_above_one(step_told: StepTold, text: str) -> None:
    """Resources that grow are multiplied, and become more."""
    assert step_told(f"retry: {{grow: {{memory_gb: {text}}}}}")[0][1].startswith("expected a factor above 1")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("hpc.default", "hpc.default"),
        ("HPC", "hpc.default"),
        ("Local", "local.default"),
        ("hpc.alpha.gpu", "hpc.alpha.gpu"),
    ],
)
def test_operator_keys_are_canonical(load: Load, text: str, key: str) -> None:
    """Names from before keys existed mean the default of their kind."""
    recipe = load(f"steps: [{{name: a, type: shell, run: [x], operator_key: {text}}}]").recipe

    (step,) = recipe.steps
    assert isinstance(step, ShellStep)
    assert step.operator_key == key


@pytest.mark.parametrize("key", ["hpc.", "HPC.Default", "hpc..x", "Slurm", "hpc. x", ".x"])
def test_other_texts_are_no_operator_keys(step_told: StepTold, key: str) -> None:
    """Kind and name, in lower case, and nothing else."""
    assert step_told(f"operator_key: '{key}'") == [("MS201", f"operator key {key!r} is not allowed")]


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "PYTHONSTARTUP", "PYTHONPATH", "PATH", "IFS"],
)
def test_variables_that_load_code_are_refused(step_told: StepTold, name: str) -> None:
    """A recipe does not choose what else runs inside a program."""
    assert step_told(f"env: {{{name}: x}}") == [
        ("MS201", f"environment variable {name!r} changes which code is loaded")
    ]


@pytest.mark.parametrize("name", ["lower", "A;rm -rf /;B", "1A", "A-B", "BASH_FUNC_x%%", "Ä"])
def test_variables_have_plain_names(step_told: StepTold, name: str) -> None:
    """Capital letters, digits and underscores, as every shell can say them."""
    assert step_told(f"env: {{'{name}': x}}") == [("MS201", f"environment variable {name!r} is not allowed")]


def test_variables_of_the_runner_are_refused(step_told: StepTold) -> None:
    """The runner's own variables say what it says, except the one that routes."""
    assert step_told("env: {MATTERSTACK_OPERATOR: hpc.default, MATTERSTACK_PARAMS: x}") == [
        ("MS201", "environment variable 'MATTERSTACK_PARAMS' belongs to the runner"),
    ]


def test_variables_hold_single_values(load: Load) -> None:
    """Numbers and booleans keep their type until the step starts."""
    step = load("steps: [{name: a, type: shell, run: [x], env: {N: 4, X: 0.5, B: true, T: x}}]").recipe.steps[0]

    assert isinstance(step, ShellStep)
    assert step.env == {"N": 4, "X": 0.5, "B": True, "T": "x"}


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "~/.ssh/id", "a/../../b", "http://x/y", "a//b", "a/", ".", "", "C:/x", "a\\b"],
)
def test_paths_stay_below_their_folder(step_told: StepTold, path: str) -> None:
    """Files are staged nowhere else."""
    assert step_told(f"files: {{'{path}': x}}") == [("MS205", f"path {path!r} is not allowed")]


@pytest.mark.parametrize("module", ["os;x", "a..b", "../x.py", "/x.py", "scriptlets.stéps.x", "a-b", "1a", "x:y"])
def test_modules_are_dotted_names_or_paths_inside(
    told: Callable[[str], list[tuple[str, str, str]]], module: str
) -> None:
    """Nothing else reaches the loader, not even letters that only look alike."""
    assert told(f"steps: [{{name: a, type: python, module: '{module}'}}]")[0][0] == "MS205"


def test_a_shell_step_has_one_command(step_told: StepTold, told: Callable[[str], list[tuple[str, str, str]]]) -> None:
    """Neither none nor two."""
    assert step_told("script: x.sh") == [("MS106", "step 'a' has both 'run' and 'script'")]
    assert told("steps: [{name: a, type: shell}]") == [
        ("MS107", "r.yaml:1:9", "step 'a' has neither 'run' nor 'script'"),
    ]


def test_a_step_fans_out_in_one_way(step_told: StepTold) -> None:
    """A list or axes, not both."""
    assert step_told("foreach: [1], matrix: {b: [1]}") == [("MS106", "a step has 'foreach' or 'matrix', not both")]


def test_cache_may_be_a_switch(load: Load) -> None:
    """True is the mapping with nothing in it, false is leaving it out."""
    text = "steps: [{{name: a, type: shell, run: [x], cache: {}}}]"

    on, off = load(text.format("true")).recipe.steps[0], load(text.format("false")).recipe.steps[0]

    assert isinstance(on, ShellStep)
    assert isinstance(off, ShellStep)
    assert (on.cache is not None, off.cache) == (True, None)


@pytest.mark.parametrize("key", ["timeout", "when", "retry", "depends_on", "operator_key", "script"])
def test_a_key_without_a_value_is_refused(step_told: StepTold, key: str) -> None:
    """A value that was forgotten is not taken for a key left out."""
    assert step_told(f"{key}: ")[0][1].endswith("got null")


def test_a_secret_has_one_home(told: Callable[[str], list[tuple[str, str, str]]]) -> None:
    """No place or two places to read it from are mistakes."""
    text = "secrets: {a: {}, b: {env: X, file: y}, c: {keyring: z}}\nsteps: [{name: a, type: shell, run: [x]}]"

    assert [message for _, _, message in told(text)] == ["a secret has exactly one of 'env', 'file' and 'keyring'"] * 2


def test_keys_of_test_meta_are_free(load: Load) -> None:
    """A lab writes there what it needs."""
    recipe = load("test_meta: {test_id: A-1, batch: [7]}\nsteps: [{name: a, type: shell, run: [x]}]").recipe

    assert recipe.test_meta.test_id == "A-1"
    assert recipe.test_meta.model_extra == {"batch": [7]}


def test_other_keys_of_a_case_are_inputs(load: Load) -> None:
    """A case names itself and gives inputs."""
    head = "inputs: {src: {type: path}}\npytest: {cases: [{id: small, src: a.csv}]}\n"

    recipe = load(head + "steps: [{name: a, type: shell, run: [x]}]").recipe

    assert recipe.pytest.cases[0].inputs == {"src": "a.csv"}


@pytest.mark.parametrize(
    ("spec", "value", "complaint"),
    [
        ({"type": "number"}, 3, ""),
        ({"type": "number"}, True, "expected number, got true"),
        ({"type": "integer"}, 3.5, "expected integer, got 3.5"),
        ({"type": "boolean"}, 1, "expected boolean, got 1"),
        ({"type": "path"}, "a.csv", ""),
        ({"type": "array"}, {}, "expected array, got a mapping"),
        ({"type": "number", "minimum": 0.0}, -1, "expected at least 0, got -1"),
        ({"type": "number", "maximum": 10.0}, 11, "expected at most 10, got 11"),
        ({"type": "string", "choices": ["a", "b"]}, "c", "expected one of 'a', 'b', got 'c'"),
    ],
)
def test_an_input_says_what_is_wrong_with_a_value(spec: dict[str, object], value: object, complaint: str) -> None:
    """The same words serve defaults, command lines and cases."""
    assert Input.model_validate(spec).complaint(value) == complaint  # type: ignore[arg-type]


def test_an_input_without_a_default_is_required() -> None:
    """Whoever runs the recipe gives what the recipe does not."""
    assert Input.model_validate({"type": "string"}).required
    assert not Input.model_validate({"type": "string", "default": "x"}).required


def test_a_retry_that_says_nothing_retries_nothing() -> None:
    """``max`` counts the attempts after the first."""
    retry = Retry.model_validate({})

    assert (retry.max, retry.delay_sec, retry.backoff, retry.on) == (0, 0.0, "fixed", ("error", "timeout", "oom"))


def test_every_step_comes_in_the_order_of_the_lists() -> None:
    """First the steps, then those for a failure, then the last."""
    step = {"type": "shell", "run": ["x"]}
    document = {key: [{**step, "name": key}] for key in ("finally", "steps", "on_failure")}

    names = [step.name for step in Recipe.model_validate(document).every_step()]

    assert names == ["steps", "on_failure", "finally"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "string", "minimum": 3}, "an input of type 'string' has no minimum"),
        ({"type": "integer", "minimum": 5, "maximum": 2}, "no value is at least 'minimum' and at most 'maximum'"),
    ],
)
def test_bounds_of_an_input_mean_something(entry: dict[str, object], message: str) -> None:
    """Else no value could be given."""
    with pytest.raises(ValidationError, match=re.escape(message)):
        Input.model_validate(entry)
