"""Items become tasks that are named by their value."""

from __future__ import annotations

import hashlib

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope
from orchestrator.fanning import Fan, fan_out, item_id
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import is_task_id


def digest(text: str) -> str:
    """Give the first digits of the hash of a canonical JSON text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("Cu", "Cu"),
        ("Fe2O3-x_1.5", "Fe2O3-x_1.5"),
        (3, "3"),
        (-0.5, "-0.5"),
        (True, "true"),
        ({"id": "A7", "mass": 2}, "A7"),
        ({"name": "north", "x": 1}, "north"),
        ({"id": 12}, "12"),
        ("a b", "a-b-" + digest('"a b"')),
        ("", digest('""')),
        ("é", digest('"é"')),
        ({"mass": 2, "hue": [1]}, digest('{"hue":[1],"mass":2}')),
        ({"hue": [1], "mass": 2}, digest('{"hue":[1],"mass":2}')),
        ([1, 2], digest("[1,2]")),
        (None, digest("null")),
    ],
)
def test_an_item_is_named_by_its_value(item: JsonValue, name: str) -> None:
    """What cannot stand in a name is told apart by a hash."""
    assert item_id(item) == name
    assert is_task_id(f"relax[{name}]")


def test_items_keep_their_order() -> None:
    """Each with its name."""
    fan = Fan(foreach="${{ inputs.metals }}")

    assert list(fan_out(fan, Scope(names={"inputs": {"metals": ["Cu", "Ag"]}}))) == [("Cu", "Cu"), ("Ag", "Ag")]


def test_a_matrix_gives_every_combination() -> None:
    """The last axis changes first."""
    fan = Fan(matrix={"a": [1, 2], "b": "${{ vars.b }}"})

    items = dict(fan_out(fan, Scope(names={"vars": {"b": ["x", "y"]}})))

    assert list(items) == ["a=1,b=x", "a=1,b=y", "a=2,b=x", "a=2,b=y"]
    assert items["a=2,b=x"] == {"a": 2, "b": "x"}


def test_a_long_name_is_cut_and_still_its_own() -> None:
    """Ids have an end."""
    fan = Fan(matrix={axis: ["x" * 59 + end for end in "pq"] for axis in "ab"})

    names = [name for name, _ in fan_out(fan, Scope())]

    assert len(set(names)) == 4
    assert all(is_task_id(f"s[{name}]") for name in names)


@pytest.mark.parametrize(
    ("fan", "what"),
    [
        (Fan(foreach=["a", "b", "a"]), "two items of foreach have the id 'a'"),
        (Fan(foreach=[1, "1"]), "two items of foreach have the id '1'"),
        (Fan(foreach="${{ inputs.n }}"), "foreach needs a list, got 3"),
        (Fan(matrix={"a": "${{ inputs.n }}"}), "matrix.a needs a list, got 3"),
        (Fan(foreach="${{ inputs.none }}"), "has no key 'none'"),
    ],
)
def test_what_cannot_be_fanned_out_is_refused(fan: Fan, what: str) -> None:
    """With what was there instead."""
    with pytest.raises(ExpressionError, match=what.replace("[", r"\[")):
        list(fan_out(fan, Scope(names={"inputs": {"n": 3}})))


def test_nothing_to_fan_out_over_is_no_error() -> None:
    """The step is done at once."""
    assert list(fan_out(Fan(foreach=[]), Scope())) == []
