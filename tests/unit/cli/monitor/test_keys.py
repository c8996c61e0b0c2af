"""What terminals send is read as keys, however it is cut into pieces."""

from __future__ import annotations

import pytest

from orchestrator.cli.monitor.keys import split_keys


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        (b"\x1b[5~\x1b[6~", ["page up", "page down"]),
        (b"\x1b[H\x1b[4~", ["home", "end"]),
        (b"\r\n\x7f\x08", ["enter", "enter", "backspace", "backspace"]),
        ("é日".encode(), ["é", "日"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b[1;5A\x1b[200~x", ["x"]),
        (b"\x00\x01\xff\x9b", []),
    ],
)
def test_bytes_are_keys(typed: bytes, keys: list[str]) -> None:
    """What stands for no key is left out."""
    assert split_keys(typed, is_whole=True) == (keys, b"")


@pytest.mark.parametrize("begun", [b"\x1b", b"\x1b[", b"\x1b[5", "日".encode()[:2]])
def test_a_key_that_has_only_begun_is_kept(begun: bytes) -> None:
    """Its other bytes may still come."""
    assert split_keys(b"a" + begun, is_whole=False) == (["a"], begun)


def test_an_escape_that_nothing_follows_is_a_key() -> None:
    """A person has pressed it."""
    assert split_keys(b"\x1b", is_whole=True) == (["escape"], b"")
