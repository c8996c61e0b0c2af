"""What people and instruments write is taken only where it is whole, a file of its own, and strict JSON."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.operators.answers import NotYetError, opened, read_written, user_name


def test_a_document_is_read_with_who_wrote_it(tmp_path: Path) -> None:
    """And when, in UTC."""
    (tmp_path / "a.json").write_text('{"x": 1}')

    written = read_written(tmp_path / "a.json")

    assert (written.document, written.by, written.at_utc[-1]) == ({"x": 1}, user_name(os.getuid()), "Z")


def test_each_reader_has_its_own_limit(tmp_path: Path) -> None:
    """Instruments say more than people."""
    (tmp_path / "a.json").write_text('{"x": 1}')

    with pytest.raises(NotYetError, match="it has 8 bytes, more than 7"):
        read_written(tmp_path / "a.json", cap=7)


def test_C5_no_link_on_the_way_is_followed(tmp_path: Path) -> None:  # noqa: N802  row of the fault matrix
    """Each part of a path is opened from within the one above."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_text("")
    (tmp_path / "in").symlink_to("outside")

    with pytest.raises(NotYetError, match="cannot be read, or is a link"), opened(tmp_path, "in/a"):
        pass


def test_C4_a_device_is_no_answer() -> None:  # noqa: N802  row of the fault matrix
    """It might never end."""
    with pytest.raises(NotYetError, match="no regular file"), opened(Path("/dev"), "zero"):
        pass
