"""What the language knows and the program does not do yet is refused, all of it at once, and never ignored."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from orchestrator.errors import Problem
from orchestrator.recipe.load import load_recipe
from orchestrator.recipe.model import Defaults, PythonStep, Recipe, Retry, ShellStep
from orchestrator.sources import Source
from orchestrator.support import unsupported
from tests.unit.workshop import recipe, shell

A, Z = shell("a", "x"), shell("z", "x")


def found(text: str) -> list[Problem]:
    """Give what is not executed yet."""
    return list(unsupported(load_recipe(Source.from_text("r.yaml", text))))


def told(text: str) -> list[tuple[str, str]]:
    """Give place and message of what is not executed yet."""
    return [(str(problem.place), problem.message) for problem in found(text)]


def test_a_budget_within_another_recipe_is_refused_at_its_place() -> None:
    """That of the recipe which is run counts, and this one would silently not."""
    loaded = load_recipe(Source.from_text("r.yaml", recipe(A, head="budget: {core_hours: 1}\n")))

    (problem,) = unsupported(loaded, is_used=True)

    assert (problem.code, str(problem.place), problem.message) == (
        "MS208",
        "r.yaml:1:1",
        "'budget' is not executed yet",
    )
    assert list(unsupported(loaded)) == []


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("needs: [a.x_v1]", "needs"),
        ("files: {a: b}", "files"),
        ("resources: {cores: 2}", "resources"),
        ("fetch: {required: [a]}", "fetch"),
        ("on_walltime: {restart: 1}", "on_walltime"),
    ],
)
def test_what_an_operator_needs_is_refused_where_there_is_none(keys: str, key: str) -> None:
    """The step has no directory of its own, and would silently run without it."""
    (problem,) = found(recipe(shell("a", "x", keys)))

    message = f"'{key}' is for steps that have an 'operator_key'"
    assert (problem.code, str(problem.place), problem.message) == ("MS216", "r.yaml:2:36", message)
    assert told(recipe(shell("a", "x", f"operator_key: hpc.default, {keys}"))) == []


@pytest.mark.parametrize(("keys", "key"), [("cache: true", "cache"), ("cache_key: x", "cache_key")])
def test_what_an_operator_does_not_do_yet_is_refused(keys: str, key: str) -> None:
    """Results of such steps are not taken over."""
    keys = f"operator_key: hpc.default, {keys}"

    assert told(recipe(shell("a", "x", keys))) == [("r.yaml:2:63", f"'{key}' is not executed yet")]


def test_resources_grow_where_there_are_any() -> None:
    """A step that the runner runs itself asks for none."""
    keys = "retry: {max: 1, grow: {cores: 2x}}"
    expected = "'grow' is for steps that have an 'operator_key'"

    assert told(recipe(shell("a", "x", keys))) == [("r.yaml:2:52", expected)]
    assert told(recipe(shell("a", "x", f"operator_key: hpc.default, {keys}"))) == []


def test_a_step_is_routed_by_a_variable_too() -> None:
    """By a canonical key, or one of those that older recipes have."""
    routed = "env: {MATTERSTACK_OPERATOR: HPC}, needs: [a.x_v1]"

    assert told(recipe(shell("a", "x", routed))) == []
    (problem,) = found(recipe(shell("a", "x", "env: {MATTERSTACK_OPERATOR: nowhere}")))
    assert (problem.code, problem.message) == ("MS214", "expected kind.name, got 'nowhere'")


@pytest.mark.parametrize("name", ["manifest.json", ".ms/claim", "exit_code"])
def test_a_file_of_the_runner_is_not_given_by_a_step(name: str) -> None:
    """It would be overwritten, or overwrite."""
    text = recipe(shell("a", "x", f"operator_key: hpc.default, files: {{'{name}': b}}"))

    assert [problem.message for problem in found(text)] == [f"'{name}' is a file of the runner"]


@pytest.mark.parametrize("on", ["[oom]", "[timeout, oom]"])
def test_a_step_out_of_memory_is_not_told_from_others_yet(on: str) -> None:
    """A retry for that alone would never happen."""
    expected = "'oom' alone is not executed yet"

    assert told(recipe(shell("a", "x", f"retry: {{on: {on}}}"))) == [("r.yaml:2:44", expected)]
    assert told(recipe(A, head=f"defaults: {{retry: {{on: {on}}}}}\n")) == [("r.yaml:1:20", expected)]


def test_a_step_out_of_memory_is_a_failed_one() -> None:
    """Where both are retried, nothing is ignored."""
    assert told(recipe(shell("a", "x", "retry: {max: 1, on: [error, oom]}"))) == []


@pytest.mark.parametrize("head", ["on_conflict: fail", "outputs: {}", "finally: []", "secrets: {}", "defaults: {}"])
def test_what_changes_nothing_is_not_refused(head: str) -> None:
    """A key that says what would be anyway is no promise."""
    assert told(recipe(shell("a", "x", "parallel: false, matrix: {}, locks: []"), head=f"{head}\n")) == []


def test_everything_is_listed_at_once_with_a_way_out() -> None:
    """One round of mending is enough."""
    problems = found(recipe(A, shell("b", "x", "needs: [a.x_v1], retry: {on: [oom]}")))

    assert [(problem.code, problem.place and problem.place.line, problem.help) for problem in problems] == [
        ("MS216", 3, "leave it out: a step that the runner runs itself sees the whole context"),
        ("MS208", 3, "add 'error': a step that is killed has failed"),
    ]


ROUTED = {"operator_key", "needs", "files", "resources", "fetch", "on_walltime"}
EXECUTED = {
    Recipe: {"schema_id", "workspace", "inputs", "vars", "defaults", "steps", "timeout", "max_parallel", "on_conflict"}
    | {"on_failure", "finally_", "outputs", "secrets", "repeat", "isolation", "budget"},
    Defaults: {"timeout", "retry", "env", "isolation", "resources"},
    Retry: {"max", "delay_sec", "backoff", "on", "grow"},
    PythonStep: {"idx", "name", "type", "module", "function", "args", "env", "when", "depends_on", "success"}
    | {
        "allow_failure",
        "allow_dependency_failure",
        "timeout",
        "retry",
        "parallel",
        "foreach",
        "matrix",
        "save",
        "locks",
        "cache",
        "cache_key",
    }
    | {"isolation", *ROUTED},
    ShellStep: {"idx", "name", "type", "run", "script", "stdout", "args", "env", "when", "depends_on", "success"}
    | {
        "allow_failure",
        "allow_dependency_failure",
        "timeout",
        "retry",
        "parallel",
        "foreach",
        "matrix",
        "save",
        "locks",
        "cache",
        "cache_key",
    }
    | ROUTED,
}
DESCRIBING = {"description", "license", "tags", "test_meta"}
OF_PYTEST = {"pytest"}


@pytest.mark.parametrize("part", EXECUTED)
def test_every_key_of_the_language_is_executed_or_refused(part: type[BaseModel]) -> None:
    """A key that the model gains belongs to one of the lists above, and so to a test."""
    assert set(part.model_fields) - DESCRIBING - OF_PYTEST == EXECUTED[part]
