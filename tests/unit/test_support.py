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


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ("budget: {core_hours: 1}", "budget"),
    ],
)
def test_a_key_of_the_recipe_is_refused_at_its_place(head: str, key: str) -> None:
    """Its name is marked."""
    assert told(recipe(A, head=f"{head}\n")) == [("r.yaml:1:1", f"'{key}' is not executed yet")]


@pytest.mark.parametrize(("keys", "key"), [("resources: {cores: 2}", "resources")])
def test_a_key_of_the_defaults_is_refused_at_its_place(keys: str, key: str) -> None:
    """What steps would have is as good as what they say."""
    assert told(recipe(A, head=f"defaults: {{{keys}}}\n")) == [("r.yaml:1:12", f"'{key}' is not executed yet")]


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("operator_key: hpc.default", "operator_key"),
        ("needs: [a.x_v1]", "needs"),
        ("files: {a: b}", "files"),
        ("resources: {cores: 2}", "resources"),
        ("fetch: {required: [a]}", "fetch"),
        ("on_walltime: {restart: 1}", "on_walltime"),
    ],
)
def test_a_key_of_a_step_is_refused_at_its_place(keys: str, key: str) -> None:
    """Its name is marked."""
    assert told(recipe(shell("a", "x", keys))) == [("r.yaml:2:36", f"'{key}' is not executed yet")]


@pytest.mark.parametrize(("kind", "keys"), [("experiment", "")])
def test_a_type_of_step_is_refused_at_its_place(kind: str, keys: str) -> None:
    """Its word is marked."""
    expected = f"steps of type '{kind}' are not executed yet"

    assert told(recipe(f"{{name: a, type: {kind}{keys}}}")) == [("r.yaml:2:19", expected)]


@pytest.mark.parametrize(
    ("keys", "column"), [("retry: {max: 1, grow: {cores: 2x}}", 52), ("retry: {grow: {cores: 2x}, max: 1}", 44)]
)
def test_resources_do_not_grow_yet(keys: str, column: int) -> None:
    """A retry with the same resources would fail the same way."""
    assert told(recipe(shell("a", "x", keys))) == [(f"r.yaml:2:{column}", "'grow' is not executed yet")]


def test_resources_of_the_defaults_do_not_grow_yet() -> None:
    """As those of a step."""
    head = "defaults: {retry: {max: 1, grow: {cores: 2x}}}\n"

    assert told(recipe(A, head=head)) == [("r.yaml:1:28", "'grow' is not executed yet")]


@pytest.mark.parametrize("on", ["[oom]", "[timeout, oom]"])
def test_a_step_out_of_memory_is_not_told_from_others_yet(on: str) -> None:
    """A retry for that alone would never happen."""
    expected = "'oom' alone is not executed yet"

    assert told(recipe(shell("a", "x", f"retry: {{on: {on}}}"))) == [("r.yaml:2:44", expected)]
    assert told(recipe(A, head=f"defaults: {{retry: {{on: {on}}}}}\n")) == [("r.yaml:1:20", expected)]


def test_a_step_out_of_memory_is_a_failed_one() -> None:
    """Where both are retried, nothing is ignored."""
    assert told(recipe(shell("a", "x", "retry: {max: 1, on: [error, oom]}"))) == []


def test_a_step_is_not_routed_by_a_variable_yet() -> None:
    """It would silently run on this machine."""
    keys = "env: {MATTERSTACK_OPERATOR: hpc.default}"
    expected = "'MATTERSTACK_OPERATOR' is not executed yet"

    assert told(recipe(shell("a", "x", keys))) == [("r.yaml:2:42", expected)]
    assert told(recipe(A, head=f"defaults: {{{keys}}}\n")) == [("r.yaml:1:18", expected)]


@pytest.mark.parametrize("head", ["on_conflict: fail", "outputs: {}", "finally: []", "secrets: {}", "defaults: {}"])
def test_what_changes_nothing_is_not_refused(head: str) -> None:
    """A key that says what would be anyway is no promise."""
    assert told(recipe(shell("a", "x", "parallel: false, matrix: {}, locks: []"), head=f"{head}\n")) == []


def test_everything_is_listed_at_once_with_a_way_out() -> None:
    """One round of mending is enough."""
    steps = ("{name: a, type: experiment}", shell("b", "x", "fetch: {required: [a]}, needs: [a.x_v1]"))

    problems = found(recipe(*steps, head="budget: {core_hours: 1}\ndefaults: {resources: {cores: 2}}\n"))

    assert {problem.code for problem in problems} == {"MS208"}
    assert [(problem.place and problem.place.line, problem.help) for problem in problems] == [
        (1, "leave it out"),
        (2, "leave it out"),
        (4, "use type 'python' or 'shell'"),
        (5, "leave it out; a step on this machine works in the directory the run was started from"),
        (5, "leave it out; a step on this machine sees the whole context"),
    ]


EXECUTED = {
    Recipe: {"schema_id", "workspace", "inputs", "vars", "defaults", "steps", "timeout", "max_parallel", "on_conflict"}
    | {"on_failure", "finally_", "outputs", "secrets", "repeat", "isolation"},
    Defaults: {"timeout", "retry", "env", "isolation"},
    Retry: {"max", "delay_sec", "backoff", "on"},
    PythonStep: {"idx", "name", "type", "module", "function", "args", "env", "when", "depends_on", "success"}
    | {"allow_failure", "timeout", "retry", "parallel", "foreach", "matrix", "save", "locks", "cache", "cache_key"}
    | {"isolation"},
    ShellStep: {"idx", "name", "type", "run", "script", "stdout", "args", "env", "when", "depends_on", "success"}
    | {"allow_failure", "timeout", "retry", "parallel", "foreach", "matrix", "save", "locks", "cache", "cache_key"},
}
DESCRIBING = {"description", "license", "tags", "test_meta"}
OF_PYTEST = {"pytest"}
REFUSED = {
    Recipe: {"budget"},
    Defaults: {"resources"},
    Retry: {"grow"},
    PythonStep: {
        "operator_key",
        "needs",
        "files",
        "resources",
        "fetch",
        "on_walltime",
        "cache",
        "cache_key",
    },
    ShellStep: {"operator_key", "needs", "files", "resources", "fetch", "on_walltime"},
}


@pytest.mark.parametrize("part", EXECUTED)
def test_every_key_of_the_language_is_executed_or_refused(part: type[BaseModel]) -> None:
    """A key that the model gains belongs to one of the lists above, and so to a test."""
    assert set(part.model_fields) - DESCRIBING - OF_PYTEST == EXECUTED[part] | REFUSED[part]
