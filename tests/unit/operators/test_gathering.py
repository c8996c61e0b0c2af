"""What an attempt left is gathered from its own directory alone, whatever it has put there."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.operators import gathering
from orchestrator.operators.gathering import gather

TRIES = 10_000


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Make the directory of an attempt, with one file in it, beside a secret that is not the attempt's."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("canary")
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "own.txt").write_text("own")
    return tmp_path / "attempt"


def paths(folder: Path) -> list[object]:
    """Give the names of the files that are gathered."""
    return [one["path"] for one in gather(folder).artifacts]


def test_an_interrupted_write_is_no_result(folder: Path) -> None:
    """It is removed, also from within a folder, once nobody goes on with it."""
    (folder / "responses").mkdir()
    for left in (folder / ".ms-tmp-1", folder / "responses" / ".ms-tmp-2"):
        left.write_text("half")

    assert paths(folder) == ["own.txt"]
    assert [path.name for path in folder.rglob(".ms-tmp-*")] == []


def link_to_file(path: Path) -> None:
    """Link to the secret."""
    path.symlink_to("../outside/secret.txt")


def link_to_folder(path: Path) -> None:
    """Link to the folder in which the secret lies."""
    path.symlink_to("../outside")


def link_to_itself(path: Path) -> None:
    """Make a loop."""
    path.symlink_to(path.name)


def second_name(path: Path) -> None:
    """Give the secret another name."""
    path.hardlink_to(path.parent.parent / "outside" / "secret.txt")


def listening(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def sparse(path: Path) -> None:
    """Make a file of a terabyte that holds nothing."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link_to_file, "it is a link"),
        (link_to_folder, "it is a link"),
        (link_to_itself, "it is a link"),
        (second_name, "it has another name elsewhere"),
        (os.mkfifo, "it is no regular file"),
        (listening, "it is no regular file"),
        (sparse, "there are more than 10000 files or 68719476736 bytes"),
    ],
)
def test_C4_what_is_no_file_of_its_own_is_left_out(folder: Path, make: Callable[[Path], None], reason: str) -> None:  # noqa: N802  row of the fault matrix
    """It is told, and neither followed nor read; the rest is gathered."""
    make(folder / "odd")

    found = gather(folder)

    assert [one["path"] for one in found.artifacts] == ["own.txt"]
    assert found.rejected == ({"path": "odd", "reason": reason},)


def test_C4_a_set_user_id_bit_is_not_taken_along(folder: Path) -> None:  # noqa: N802  see above
    """Content and size alone are recorded."""
    (folder / "own.txt").chmod(0o4755)

    assert [sorted(one) for one in gather(folder).artifacts] == [["path", "sha256", "size"]]


def test_C4_files_without_end_are_capped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802  see above
    """Also the list of those that were left out."""
    monkeypatch.setattr(gathering, "MAX_FILES", 5)
    for number in range(200):
        (folder / f"{number:03}").touch()

    found = gather(folder)

    assert (len(found.artifacts), len(found.rejected)) == (5, gathering.MAX_REJECTED)


def test_C4_folders_without_end_are_capped(folder: Path) -> None:  # noqa: N802  see above
    """Nobody is kept busy by a path of a thousand folders."""
    deep = folder.joinpath(*["d"] * 60)
    deep.mkdir(parents=True)
    (deep / "x").touch()

    (rejected,) = gather(folder).rejected

    assert rejected["reason"] == "it lies more than 50 folders deep"


def test_C4_a_file_that_grows_is_read_to_where_it_ended(folder: Path) -> None:  # noqa: N802  see above
    """Size and digest fit each other, and the reading ends."""
    writing = threading.Event()

    def write() -> None:
        with (folder / "own.txt").open("ab", buffering=0) as file:
            while not writing.is_set():
                file.write(b"x" * 100)
                time.sleep(0.0002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        sizes = [gather(folder).artifacts[0]["size"] for _ in range(10)]
    finally:
        writing.set()
        thread.join()

    assert sizes == sorted(sizes)  # type: ignore[type-var]


def test_C5_a_folder_that_becomes_a_link_leads_nowhere(folder: Path) -> None:  # noqa: N802  see above
    """However often the two are swapped between the look and the opening."""
    (folder / "swapped").mkdir()
    (folder / "swapped" / "inside.txt").write_text("own")
    (folder / "link").symlink_to("../outside")
    swapping = threading.Event()

    def swap() -> None:
        aside = folder.parent / "aside"
        while not swapping.is_set():
            (folder / "swapped").rename(aside)
            (folder / "link").rename(folder / "swapped")
            (folder / "swapped").rename(folder / "link")
            aside.rename(folder / "swapped")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = {path for _ in range(TRIES) for path in paths(folder)}
    finally:
        swapping.set()
        thread.join()

    assert seen == {"own.txt", "swapped/inside.txt"}
