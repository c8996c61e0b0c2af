"""Rules across steps: names, dependencies, circles and cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Told = Callable[[str], list[tuple[str, str, str]]]


def steps(*keys: str) -> str:
    """Write a recipe of shell steps from what each of them says."""
    return "steps:\n" + "".join(f"- {{{said}, type: shell, run: [x]}}\n" for said in keys)


def test_a_name_is_used_once(told: Told) -> None:
    """The second is marked and the line of the first is told."""
    assert told(steps("name: a", "name: b", "name: a")) == [
        ("MS202", "r.yaml:4:10", "step name 'a' is used twice (first at line 2)")
    ]


def test_names_differ_by_more_than_case(told: Told) -> None:
    """Some file systems would give both one folder."""
    assert told(steps("name: Load", "name: load")) == [
        ("MS202", "r.yaml:3:10", "step name 'load' differs from 'Load' only in case (first at line 2)")
    ]


def test_a_name_is_used_once_in_all_lists(told: Told) -> None:
    """Steps that run at the end have folders too."""
    text = steps("name: a") + "finally: [{name: a, type: shell, run: [x]}]\n"

    assert told(text) == [("MS202", "r.yaml:3:18", "step name 'a' is used twice (first at line 2)")]


def test_an_unknown_dependency_is_answered_with_the_one_meant(told: Told) -> None:
    """The item of the list is marked."""
    assert told(steps("name: compute_numbers", "name: b, depends_on: [compute_number]")) == [
        ("MS203", "r.yaml:3:26", "step 'b' depends on unknown step 'compute_number'")
    ]


def test_a_dependency_stays_in_its_list(told: Told) -> None:
    """A step cannot wait for one that runs after everything."""
    text = steps("name: a, depends_on: [z]") + "finally: [{name: z, type: shell, run: [x]}]\n"

    assert told(text) == [("MS203", "r.yaml:2:26", "step 'a' depends on unknown step 'z'")]


def test_a_step_does_not_wait_for_itself(told: Told) -> None:
    """That would be for ever."""
    assert told(steps("name: a, depends_on: [a]")) == [("MS204", "r.yaml:2:26", "step 'a' depends on itself")]


def test_a_circle_is_shown(told: Told) -> None:
    """The message walks round it from the first step that closes it."""
    text = steps("name: a, depends_on: [c]", "name: b, depends_on: [a]", "name: c, depends_on: [b]")

    assert told(text) == [("MS204", "r.yaml:2:26", "steps depend on each other in a circle: a -> c -> b -> a")]


def test_a_circle_may_be_closed_by_the_list(told: Told) -> None:
    """A step without ``depends_on`` waits for the one before it."""
    assert told(steps("name: a, depends_on: [b]", "name: b")) == [
        ("MS204", "r.yaml:2:26", "steps depend on each other in a circle: a -> b -> a")
    ]


def test_each_circle_is_shown(told: Told) -> None:
    """Two circles are two mistakes."""
    text = steps(
        "name: a, depends_on: [b]", "name: b, depends_on: [a]", "name: c, depends_on: [d]", "name: d, depends_on: [c]"
    )

    assert sorted(place for _, place, _ in told(text)) == ["r.yaml:2:26", "r.yaml:4:26"]


def test_a_long_circle_is_shown_in_part(told: Told) -> None:
    """A thousand names would hide the message."""
    text = steps(*(f"name: s{n}, depends_on: [s{(n + 1) % 1_000}]" for n in range(1_000)))

    assert told(text)[0][2].endswith("a circle: s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> … -> s0")


def test_a_step_may_wait_for_a_later_one(load: Callable[[str], object]) -> None:
    """The list is the order of work only where nothing else is said."""
    assert load(steps("name: a, depends_on: [b]", "name: b, depends_on: []"))


@pytest.mark.parametrize("case", ["{id: q, cutof: 1}", "{id: q, cutof: 1, cutoff: 2}"])
def test_a_case_gives_inputs_only(told: Told, case: str) -> None:
    """A misspelt input would silently test the default."""
    text = f"inputs: {{cutoff: {{type: number}}}}\npytest: {{cases: [{case}]}}\n" + steps("name: a")

    assert told(text) == [("MS101", "r.yaml:2:26", "case 'q' gives 'cutof', which is no input of the recipe")]


def test_a_case_has_its_own_id(told: Told) -> None:
    """Two tests of one name cannot be told apart."""
    text = "pytest: {cases: [{id: q}, {id: q}]}\n" + steps("name: a")

    assert told(text) == [("MS202", "r.yaml:1:32", "case 'q' is used twice")]
