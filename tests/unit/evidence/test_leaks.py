"""Secrets are found in files of any size and kind, each once, at its byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.evidence.leaks import leaks_in_file, leaks_in_files
from orchestrator.secrecy import Masker

SECRET = "clé-qui-n'ouvre-rien"  # noqa: S105  as it says
PIECE = 1 << 22
MASKER = Masker([SECRET])


def found(path: Path, content: bytes) -> list[int]:
    """Write a file and give where secrets are found in it."""
    path.write_bytes(content)
    return list(leaks_in_file(path, MASKER))


def test_a_secret_that_is_not_ascii_is_found(tmp_path: Path) -> None:
    """As UTF-8 writes it, also among bytes that are no text."""
    assert found(tmp_path / "a", b"\xff\xfe " + SECRET.encode() + b" \x80") == [3]


@pytest.mark.parametrize("place", [0, PIECE - 5, PIECE, PIECE - (1 << 16), 2 * PIECE - 3])
def test_a_secret_is_found_once_wherever_it_stands(tmp_path: Path, place: int) -> None:
    """Also across the pieces in which a file is read, and where these overlap."""
    assert found(tmp_path / "a", b"x" * place + SECRET.encode() + b"y" * 100) == [place]


def test_names_are_searched_and_not_told(tmp_path: Path) -> None:
    """A name that holds a secret is masked where it is told of."""
    (tmp_path / SECRET).write_bytes(b"")

    assert list(leaks_in_files(tmp_path, MASKER)) == ["***: a secret is in its name"]
