"""What the reasons claim can be checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.store.events import canonical
from tests.docs.documents import DOCS
from tests.docs.terminal import follow

# As in events: names are ASCII, texts are not, and there are no floats.
NAMES = st.text(st.characters(codec="ascii"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
VALUES = st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(NAMES, below), max_leaves=20)


@given(st.dictionaries(NAMES, VALUES))
@settings(max_examples=50)
def test_events_are_written_as_rfc_8785_says(payload: dict[str, Any]) -> None:
    """The standard library gives the bytes that the package for canonical JSON gives."""
    assert canonical(payload).encode() == rfc8785.dumps(payload)
    assert json.loads(canonical(payload)) == payload


def test_measurement_runs(checkout: Path) -> None:
    """The program that measured the cost of a commit works."""
    follow(checkout, DOCS / "why.md")
