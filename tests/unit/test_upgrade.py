"""A recipe without a schema becomes one of version 1 that means the same and keeps its comments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InvalidFileError
from orchestrator.recipe.load import load_recipe
from orchestrator.sources import Source
from orchestrator.upgrade import upgraded

UNSORTED = """\
# A file of ours

steps:
  # the second
  - idx: 2   # two
    name: second
    type: shell
    run: [date]

  # the first
  - { idx: 1, name: first, type: shell, run: [date] }
  - name: tail
    type: shell
    run: [date]
# the end
finally:
- {name: z, type: shell, run: [date]}
"""
SORTED = """\
# A file of ours

schema: matterstack/recipe/v1
steps:
  # the first
  - { idx: 1, name: first, type: shell, run: [date] }
  - name: tail
    type: shell
    run: [date]
  # the second
  - idx: 2   # two
    name: second
    type: shell
    run: [date]

# the end
finally:
- {name: z, type: shell, run: [date]}
"""


def upgrade(text: str) -> str:
    """Give the text of a recipe after its upgrade."""
    return upgraded(Source.from_text("r.yaml", text))


def test_steps_are_sorted_with_their_comments() -> None:
    """A step without a number stays behind the one before it."""
    assert upgrade(UNSORTED) == SORTED


def test_a_second_upgrade_changes_nothing() -> None:
    """What has a schema is left."""
    assert upgrade(SORTED) == SORTED


def test_steps_on_one_line_are_sorted() -> None:
    """They change places between the commas."""
    text = "{steps: [ {idx: 2, name: b, type: shell, run: x}, {idx: 1, name: a, type: shell, run: y} ]}\n"

    assert upgrade(text) == (
        "{schema: matterstack/recipe/v1, "
        "steps: [ {idx: 1, name: a, type: shell, run: y}, {idx: 2, name: b, type: shell, run: x} ]}\n"
    )


def test_numbers_that_are_given_twice_are_counted_anew() -> None:
    """In version 1 they rise."""
    step = "- {{ idx: {}, name: {}, type: shell, run: x }}\n"
    text = "steps:\n" + "".join(step.format(number, name) for number, name in ((7, "a"), (3, "b"), (7, "c")))

    assert re.findall(r"idx: (\d+), name: (\w)", upgrade(text)) == [("1", "b"), ("2", "a"), ("3", "c")]


def test_a_recipe_that_is_wrong_is_refused() -> None:
    """It is to be mended first."""
    with pytest.raises(InvalidFileError, match="unknown key 'stesp'"):
        upgrade("stesp: []\n")


def test_what_only_its_author_can_sort_is_refused() -> None:
    """An alias would come before what it stands for."""
    text = (
        "steps:\n- { idx: 2, name: b, type: shell, run: &run [date] }\n- { idx: 1, name: a, type: shell, run: *run }\n"
    )
    with pytest.raises(InvalidFileError, match=r"r\.yaml:1:1: .*these steps can be sorted by hand only"):
        upgrade(text)


@given(
    numbers=st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=5), flow=st.lists(st.booleans(), min_size=5)
)
def test_any_order_becomes_the_one_in_which_the_steps_run(numbers: list[int | None], flow: list[bool]) -> None:
    """The upgraded recipe runs the same steps in the same order, and is upgraded."""
    lines = []
    for place, number in enumerate(numbers):
        idx = "" if number is None else f"idx: {number}"
        if flow[place]:
            lines.append(f"# s{place}\n- {{ name: s{place}, type: shell, run: x{idx and ', ' + idx} }}\n")
        else:
            lines.append(f"# s{place}\n- name: s{place}\n  type: shell\n  run: x\n{idx and '  ' + idx + chr(10)}\n")
    text = "steps:\n" + "".join(lines)
    new = upgrade(text)

    before, after = (load_recipe(Source.from_text("r.yaml", one)).recipe for one in (text, new))
    assert [step.name for step in after.steps] == [step.name for step in before.steps]
    assert re.findall(r"# (s\d)\n- (?:\{ )?name: (s\d)", new) == [(step.name, step.name) for step in after.steps]
    assert upgrade(new) == new
