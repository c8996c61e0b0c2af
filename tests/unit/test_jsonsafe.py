"""Only what JSON carries unchanged passes, and a refusal names the place."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import NotJsonSafeError
from orchestrator.jsonsafe import MAX_INTEGER, MAX_TEXT_BYTES, check_json_safe, dumps, loads

SAFE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


class Celsius(float):
    """A number that is more than a number."""


@settings(max_examples=60)
@given(SAFE)
def test_safe_values_come_back_unchanged(value: object) -> None:
    """What is written can be read, and is equal and of the same type."""
    text = dumps(value)

    back = loads(text)

    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "value is nan, which JSON does not have"),
        ({"a": [1, -math.inf]}, "value.a[1] is -inf, which JSON does not have"),
        (2**53, "value is 9007199254740992, beyond ±(2^53-1)"),
        ({"a": {"b": (1, 2)}}, "value.a.b is a tuple, which JSON does not have"),
        ([{1: "x"}], "value[0] has the key 1, which is not a string"),
        ({"a": {1, 2}}, "value.a is a set, which JSON does not have"),
        (b"x", "value is a bytes, which JSON does not have"),
        (Path("x"), "value is a PosixPath, which JSON does not have"),
        (date(2026, 1, 2), "value is a date, which JSON does not have"),
        (Celsius(1.5), "value is a Celsius, which JSON does not have"),
        ("\ud800", "value holds a lone surrogate at character 0"),
        ({"a\udfff": 1}, "a key of value holds a lone surrogate at character 1"),
    ],
)
def test_unsafe_values_are_refused_by_their_place(value: object, message: str) -> None:
    """The message names the path inside the value and what is wrong there."""
    with pytest.raises(NotJsonSafeError) as caught:
        check_json_safe(value)

    assert caught.value.message == message


def test_the_first_offence_in_order_is_named() -> None:
    """Of several offences the first in reading order is reported."""
    with pytest.raises(NotJsonSafeError, match=r"^stats\.a is a tuple"):
        check_json_safe({"a": (), "b": math.nan}, "stats")


def test_the_largest_integers_pass() -> None:
    """Integers up to 2^53-1 in either direction are exact in JSON."""
    assert dumps([9007199254740991, -9007199254740991]) == "[9007199254740991,-9007199254740991]"


def test_a_hundred_levels_pass_and_one_more_does_not() -> None:
    """Depth is limited, so that no reader runs out of stack."""
    value: object = "leaf"
    for _ in range(100):
        value = [value]
    check_json_safe(value)

    with pytest.raises(NotJsonSafeError, match="nested deeper than 100 levels"):
        check_json_safe([value])


def test_a_list_that_holds_itself_is_refused() -> None:
    """A circle is endless depth."""
    circle: list[object] = []
    circle.append(circle)

    with pytest.raises(NotJsonSafeError, match="nested deeper than 100 levels"):
        check_json_safe(circle)


def test_a_list_that_holds_itself_twice_is_refused_in_good_time() -> None:
    """What doubles with every level would take for ever to go through."""
    doubling: list[object] = []
    for _ in range(60):
        doubling = [doubling, doubling]

    with pytest.raises(NotJsonSafeError, match="more than 1000000 lists and dicts"):
        check_json_safe(doubling)


def test_size_is_counted_in_bytes() -> None:
    """Text that fits by its characters but not by its bytes is refused."""
    text = "ü" * (MAX_TEXT_BYTES // 2)

    with pytest.raises(NotJsonSafeError, match="value is 8388610 bytes of JSON, more than 8388608"):
        dumps(text)


def test_text_is_compact_and_readable() -> None:
    """There are no blanks between the parts, and letters stay letters."""
    assert dumps({"name": "Grüße", "list": [1, 2.5, None, True]}) == '{"name":"Grüße","list":[1,2.5,null,true]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' appears twice"),
        ("1e999", "value is inf"),
        ("18446744073709551616", r"beyond ±\(2\^53-1\)"),
        ('"\\ud800"', "lone surrogate"),
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[" * 5000 + "]" * 5000, "nested deeper|not valid JSON"),
        ("9" * 10_000, r"not valid JSON|beyond"),
    ],
)
def test_reading_is_strict(text: str, message: str) -> None:
    """Extensions and ambiguities that other readers let pass are refused."""
    with pytest.raises(NotJsonSafeError, match=message):
        loads(text)


def test_hint_says_what_to_do() -> None:
    """The way out is part of the error."""
    with pytest.raises(NotJsonSafeError) as caught:
        check_json_safe({"when": datetime(2026, 1, 2, tzinfo=UTC)})

    assert caught.value.hint == "store an ISO-8601 string"
    assert caught.value.code == "MS402"


def test_output_is_json_for_others() -> None:
    """The standard library reads what is written here."""
    assert json.loads(dumps({"a": [1.5, "ü"]})) == {"a": [1.5, "ü"]}
