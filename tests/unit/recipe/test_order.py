"""Who waits for whom, as the list and the steps themselves say it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.recipe.order import by_idx, dependencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a step says about its place."""

    name: str
    idx: int | None = None
    depends_on: tuple[str, ...] | None = None
    parallel: bool = False


def test_a_step_waits_for_the_one_before_it() -> None:
    """List order is the order of work."""
    assert dependencies([Said(name="a"), Said(name="b"), Said(name="c")]) == {"a": (), "b": ("a",), "c": ("b",)}


def test_depends_on_replaces_the_list() -> None:
    """A step that names others waits for those only, and one that names none waits for nobody."""
    steps = [Said(name="a"), Said(name="b", depends_on=()), Said(name="c", depends_on=("a", "b"))]

    assert dependencies(steps) == {"a": (), "b": (), "c": ("a", "b")}


def test_adjacent_parallel_steps_share_what_they_wait_for() -> None:
    """The group waits for the step before it, and the step after it waits for the whole group."""
    steps = [Said(name="a"), Said(name="b", parallel=True), Said(name="c", parallel=True), Said(name="d")]

    assert dependencies(steps) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_list_may_begin_and_end_in_parallel() -> None:
    """Nothing comes before the first group or after the last."""
    steps = [
        Said(name="a", parallel=True),
        Said(name="b", parallel=True),
        Said(name="c"),
        Said(name="d", parallel=True),
    ]

    assert dependencies(steps) == {"a": (), "b": (), "c": ("a", "b"), "d": ("c",)}


def test_a_parallel_step_may_name_what_it_waits_for() -> None:
    """It leaves the list but stays in its group, for which the next step waits."""
    steps = [
        Said(name="a"),
        Said(name="b", parallel=True),
        Said(name="c", parallel=True, depends_on=()),
        Said(name="d"),
    ]

    assert dependencies(steps) == {"a": (), "b": ("a",), "c": (), "d": ("b", "c")}


def test_steps_are_sorted_by_number() -> None:
    """Equal numbers keep the order of the list."""
    steps = [Said(name="a", idx=3), Said(name="b", idx=1), Said(name="c", idx=2), Said(name="d", idx=1)]

    assert [step.name for step in by_idx(steps)] == ["b", "d", "c", "a"]


def test_a_step_without_a_number_stays_behind_the_one_before_it() -> None:
    """What belongs together stays together, also at the beginning of the list."""
    steps = [Said(name="a"), Said(name="b", idx=2), Said(name="c"), Said(name="d", idx=1)]

    assert [step.name for step in by_idx(steps)] == ["a", "d", "b", "c"]
