"""Names are checked by form, and a wrong one is met with the one that was meant."""

from __future__ import annotations

import pytest

from orchestrator.errors import ContextError
from orchestrator.keys import (
    camel_case,
    check_context_key,
    did_you_mean,
    is_run_id,
    is_task_id,
    is_workspace_slug,
    snake_case,
)

TRAPS = ["", ".", "..", "../x", "/abs", "-rf", "a\n", "a\0b", "a b", "ä", "a%2fb", "x" * 300]


@pytest.mark.parametrize("key", ["numbers.stats_v1", "a", "a.b.c", "relax.energy-total_v2", "a.1", "A.b_v1"])
def test_dotted_names_are_context_keys(key: str) -> None:
    """A key is one or more names with dots between them."""
    assert check_context_key(key) == key


@pytest.mark.parametrize("key", [*TRAPS, "a..b", ".a", "a.", "1a", "a.-b", "a/b"])
def test_other_texts_are_not_context_keys(key: str) -> None:
    """What could mislead a reader, a shell or a file system is refused."""
    with pytest.raises(ContextError, match="is not a dotted name"):
        check_context_key(key)


@pytest.mark.parametrize("key", ["__proto__", "a.__class__", "a.b.__x"])
def test_parts_that_begin_with_two_underscores_are_refused(key: str) -> None:
    """Such names mean something in other languages, so not even the runner writes them."""
    with pytest.raises(ContextError, match="begins with two underscores"):
        check_context_key(key, own=True)


def test_keys_of_the_runner_need_permission() -> None:
    """A leading underscore belongs to the runner."""
    assert check_context_key("_runner.step_metrics_v1", own=True) == "_runner.step_metrics_v1"
    with pytest.raises(ContextError, match="which only the runner may write"):
        check_context_key("_runner.step_metrics_v1")


def test_a_long_key_is_shown_cut() -> None:
    """The message about an endless key is not endless."""
    with pytest.raises(ContextError) as caught:
        check_context_key("x" * 100_000)

    assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", ["relax", "relax[Cu]", "sweep[a=1,b=x]", "_a-b", "x" * 100])
def test_task_ids_are_names_with_an_optional_item(text: str) -> None:
    """A task is a step, or a step with its item in brackets."""
    assert is_task_id(text)


@pytest.mark.parametrize("text", [*TRAPS, "a[b", "a[]", "a[b]c", "a[../x]", "a.b", "[a]", "a[b]\n"])
def test_other_texts_are_not_task_ids(text: str) -> None:
    """A task id can be a folder without leading anywhere else."""
    assert not is_task_id(text)


def test_run_ids_have_one_form() -> None:
    """Date, time and eight hexadecimal digits, nothing before or after."""
    assert is_run_id("20261120_115630_9b166b82")
    assert not any(is_run_id(text) for text in [*TRAPS, "20261120_115630_9B166B82", "20261120_115630_9b166b82\n"])


def test_workspaces_may_be_nested() -> None:
    """A workspace is a folder below the root of all workspaces."""
    assert is_workspace_slug("screening")
    assert is_workspace_slug("demos/screening.v1")


@pytest.mark.parametrize("text", [*TRAPS, "a//b", "a/", "a/../b", ".git", "a/..", "runs", "a/runs"])
def test_workspaces_stay_below_their_root(text: str) -> None:
    """No name leads out of the root or into a hidden folder."""
    assert not is_workspace_slug(text)


@pytest.mark.parametrize(
    ("module", "class_name"),
    [("compute_numbers", "ComputeNumbers"), ("load", "Load"), ("compute_numbers_v2", "ComputeNumbersV2")],
)
def test_class_and_module_names_translate_both_ways(module: str, class_name: str) -> None:
    """The class of a module and the module of a class are found by rule."""
    assert camel_case(module) == class_name
    assert snake_case(class_name) == module


def test_abbreviations_are_one_word() -> None:
    """Capitals in a row belong together."""
    assert snake_case("ParseHTTPAnswer") == "parse_http_answer"


def test_the_closest_name_is_suggested() -> None:
    """A slip of the keyboard finds what was meant."""
    assert did_you_mean("numbers.stat_v1", ["numbers.stats_v1", "report.file_v1"]) == "did you mean 'numbers.stats_v1'?"


def test_without_a_close_name_the_known_ones_are_listed() -> None:
    """Eight names are enough to see what there is."""
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("zzz", "abcdefghij") == "known: a, b, c, d, e, f, g, h …"


def test_where_nothing_is_known_nothing_is_suggested() -> None:
    """An empty list makes an empty hint."""
    assert did_you_mean("x", []) == ""
