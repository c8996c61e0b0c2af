"""What several commands share is read the same way everywhere."""

from __future__ import annotations

import pytest

from orchestrator.cli.options import read_names, read_selected
from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.inputs import read_settings


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ((), {}),
        (("limit=3",), {"limit": "3"}),
        (("inputs.limit=3",), {"limit": "3"}),
        (("query=a=b",), {"query": "a=b"}),
        (("note=",), {"note": ""}),
        (("limit=3", "limit=4"), {"limit": "4"}),
    ],
)
def test_settings_are_pairs(settings: tuple[str, ...], inputs: dict[str, str]) -> None:
    """The first equals sign parts them, and the last setting counts."""
    assert read_settings(settings) == inputs


def test_a_setting_without_an_equals_sign_is_refused() -> None:
    """It would set nothing."""
    with pytest.raises(UsageError) as caught:
        read_settings(("limit",))

    assert (caught.value.message, caught.value.hint) == ("--set 'limit' has no '='", "as in: --set limit=3")


NAMES = [("a", ("a",)), ("a,b", ("a", "b")), (" a , b,", ("a", "b"))]


@pytest.mark.parametrize(("text", "names"), [*NAMES, (None, ()), ("", ()), (",", ())])
def test_names_stand_between_commas(text: str | None, names: tuple[str, ...]) -> None:
    """Blanks round them do not matter."""
    assert read_names(text) == names


@pytest.mark.parametrize(("text", "names"), [*NAMES, (None, ())])
def test_steps_are_selected_by_their_names(text: str | None, names: tuple[str, ...]) -> None:
    """Without the option, none is singled out."""
    assert read_selected(text) == names


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_selecting_no_name_is_refused(text: str) -> None:
    """An empty variable in a script must not come to mean every step."""
    with pytest.raises(NothingSelectedError) as caught:
        read_selected(text)

    message = f"--only {text!r} names no step"
    assert (caught.value.message, caught.value.hint) == (message, "name one, or leave --only out")
