"""What is written piece by piece is what would be written at once."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import NotJsonSafeError
from orchestrator.evidence.canonical import canonical, line, members, streamed

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False).filter(lambda number: abs(number) < 1e300)
)
VALUES = st.recursive(SCALARS | st.text(), lambda below: st.lists(below) | st.dictionaries(NAMES, below), max_leaves=10)


@given(st.dictionaries(NAMES, VALUES))
@settings(max_examples=50)
def test_pieces_of_an_object_make_the_object(value: dict[str, Any]) -> None:
    """Whether its members are there or are streams themselves."""
    whole = rfc8785.dumps(value)

    assert b"".join(members(sorted(value.items()))) == whole
    assert b"".join(streamed(value)) == whole
    assert b"".join(streamed({name: iter([canonical(part)]) for name, part in value.items()})) == whole


def test_a_line_ends() -> None:
    """And numbers have one spelling."""
    assert line({"b": 1.0, "a": [-0.0, 1e-7]}) == b'{"a":[0,1e-7],"b":1}\n'


@pytest.mark.parametrize("value", [2**53, float("nan"), {"a": ["\ud800"]}])
def test_what_json_does_not_carry_is_refused(value: object) -> None:
    """No other program would read the same."""
    with pytest.raises(NotJsonSafeError, match=r"a recorded value has no canonical JSON"):
        canonical(value)
