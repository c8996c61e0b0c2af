"""An archive from a site is taken as if somebody else had made it."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import TransferError
from orchestrator.remote.trees import archive as sent
from orchestrator.remote.trees import unpack


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> list[bytes]:
    """Give an archive, in pieces of an odd size."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as file:
        for entry, content in entries:
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    content = whole.getvalue()
    return [content[start : start + 777] for start in range(0, len(content), 777)]


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Give an entry of an archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def unpacked(folder: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> tuple[list[str], tuple[str, ...]]:
    """Unpack entries, and give what came and what was left out."""
    fetched = unpack(archive(*entries), folder, most_bytes=100_000, most_files=10)
    return sorted(fetched.sha256), fetched.left_out


@pytest.mark.parametrize(
    "name", ["../canary", "/etc/canary", "a/../../canary", "./../canary", "a/b/../../../canary", "..", "a/.."]
)
def test_c6_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever it is hidden behind; nothing is written outside."""
    with pytest.raises(TransferError, match="leads out of the folder") as caught:
        unpacked(tmp_path / "here", (entry(name), b"x"))

    assert caught.value.is_hostile
    assert [path.name for path in tmp_path.rglob("*canary*")] == []


def test_c6_links_are_not_followed(tmp_path: Path) -> None:
    """Those of the archive are not made, so that nothing can be written through them."""
    came, left_out = unpacked(
        tmp_path / "here",
        (entry("door", tarfile.SYMTYPE, str(tmp_path)), b""),
        (entry("hard", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (entry("device", tarfile.CHRTYPE), b""),
        (entry("pipe", tarfile.FIFOTYPE), b""),
        (entry("door/canary"), b"x"),
    )

    assert (came, left_out) == (["door/canary"], ("door", "hard", "device", "pipe"))
    assert (tmp_path / "here/door/canary").read_bytes() == b"x"
    assert not (tmp_path / "canary").exists()


def test_c6_a_link_that_is_there_is_no_door(tmp_path: Path) -> None:
    """Somebody may have put it into the folder before."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/door").symlink_to(tmp_path)

    with pytest.raises(TransferError, match="a link leads out of the folder"):
        unpacked(tmp_path / "here", (entry("door/canary"), b"x"))

    assert not (tmp_path / "canary").exists()


def test_c6_a_size_that_lies_is_damage(tmp_path: Path) -> None:
    """A file that ends too early is not there at all."""
    whole = b"".join(archive((entry("a"), b"x" * 5000)))

    with pytest.raises(TransferError, match="damaged"):
        unpack([whole[:2000]], tmp_path / "here", most_bytes=100_000, most_files=10)

    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, bytes(10_000)])
def test_c6_what_is_no_archive_is_damage_or_empty(tmp_path: Path, content: bytes) -> None:
    """Nothing comes of it."""
    try:
        fetched = unpack([content], tmp_path / "here", most_bytes=100_000, most_files=10)
    except TransferError:
        return
    assert fetched.sha256 == {}


def test_c6_an_endless_archive_ends(tmp_path: Path) -> None:
    """At the number of bytes that were allowed."""

    def endless() -> Iterator[bytes]:
        big = entry("a")
        big.size = 10**15
        yield big.tobuf(tarfile.GNU_FORMAT)
        while True:
            yield bytes(4096)

    with pytest.raises(TransferError, match="more than 1000000 bytes"):
        unpack(endless(), tmp_path / "here", most_bytes=1_000_000, most_files=10)

    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x"])
def test_c2_what_is_sent_stays_inside_too(name: str) -> None:
    """Its paths come from recipes."""
    with pytest.raises(TransferError, match="leads out of the folder"):
        list(sent({name: b""}))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want names in UTF-8")
def test_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    """Long, with blanks, or no UTF-8."""
    names = ["a b/ä", f"{'d' * 200}/{'f' * 200}", "odd\udcff"]

    pieces = sent({name: name.encode("utf-8", "surrogateescape") for name in names})
    fetched = unpack(pieces, tmp_path, most_bytes=100_000, most_files=10)

    assert sorted(fetched.sha256) == sorted(names)
    assert all((tmp_path / name).read_bytes() == name.encode("utf-8", "surrogateescape") for name in names)
