"""Files and directories appear whole or not at all, whatever goes wrong on the way."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.errors import InfrastructureError
from orchestrator.files import (
    TEMPORARY,
    make_directory,
    move_into_place,
    move_synced,
    new_directory,
    open_lock,
    replace_file,
    replace_file_by,
    replacing_directory,
    sweep_directories,
    sweep_temporaries,
    write_chunks,
)
from tests.unit.machine import can_trace, failing, file_size_limit, mounted

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0


def torn() -> Iterator[bytes]:
    """Give a piece of a file that is then refused."""
    yield b"1"
    raise OSError(5, "Input/output error")


def names_in(folder: Path) -> list[str]:
    """List a folder, hidden names too."""
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced(tmp_path: Path) -> None:
    """The new content stands under the old name, and nothing beside it."""
    path = tmp_path / "context.json"
    path.write_bytes(b"old")

    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["context.json"]


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o644, 0o644)])
def test_a_file_is_private_unless_told_otherwise(tmp_path: Path, mode: int, expected: int) -> None:
    """The mode is the caller's choice."""
    replace_file(tmp_path / "x", b"", mode)

    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == expected


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """Writing never reaches a file elsewhere."""
    canary = tmp_path / "canary"
    canary.write_bytes(b"untouched")
    link = tmp_path / "link"
    link.symlink_to(canary)

    replace_file(link, b"new")

    assert canary.read_bytes() == b"untouched"
    assert not link.is_symlink()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Whoever reads meanwhile gets one whole content or the other."""
    path = tmp_path / "state.json"
    contents = (b"a" * 50_000, b"b" * 90_000)
    path.write_bytes(contents[0])

    def write() -> None:
        for turn in range(50):
            replace_file(path, contents[turn % 2])

    writer = Thread(target=write)

    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(path.read_bytes())
    writer.join()

    assert seen <= set(contents)


def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path: Path) -> None:
    """The message says how many bytes were to be written, and where."""
    path = tmp_path / "report.md"
    path.write_bytes(b"old")

    with file_size_limit(4096), pytest.raises(InfrastructureError) as caught:
        replace_file(path, b"x" * 10_000)

    assert caught.value.message == f"cannot write 10000 bytes to {path}: file too large"
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["report.md"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """What fitted is removed again, so that the next attempt can succeed."""
    with mounted(tmp_path / "small", "size=300k") as folder:
        path = folder / "report.md"
        path.write_bytes(b"old")

        with pytest.raises(InfrastructureError, match=r"cannot write 400000 bytes to .*: no space left on device"):
            replace_file(path, b"x" * 400_000)

        assert path.read_bytes() == b"old"
        assert names_in(folder) == ["report.md"]


def test_a_read_only_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The refusal is ours, with the path in it."""
    with mounted(tmp_path / "fixed", "size=300k") as folder:
        path = folder / "report.md"
        path.write_bytes(b"old")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

        with pytest.raises(InfrastructureError, match=r"cannot write 3 bytes to .*: read-only"):
            replace_file(path, b"new")

        assert path.read_bytes() == b"old"


@pytest.mark.skipif(IS_ROOT, reason="root may write into any directory")
def test_a_read_only_directory_leaves_the_old_file(tmp_path: Path) -> None:
    """The refusal is ours, with the path in it."""
    path = tmp_path / "report.md"
    path.write_bytes(b"old")

    tmp_path.chmod(0o555)
    with pytest.raises(InfrastructureError, match=r"cannot write 3 bytes to .*: permission denied"):
        replace_file(path, b"new")

    assert path.read_bytes() == b"old"


def test_a_file_in_the_way_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A path through a file is no path."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(InfrastructureError, match=r"cannot write 1 bytes to .*: not a directory"):
        replace_file(tmp_path / "file" / "x", b"x")


@pytest.mark.skipif(not can_trace(), reason="strace is not installed or not allowed")
def test_a_failing_sync_stops_at_once(tmp_path: Path) -> None:
    """A disk that fails to sync is not asked again, and nothing is said to be written."""
    path = tmp_path / "x"
    path.write_bytes(b"old")
    code = (
        f"from pathlib import Path; from orchestrator.files import replace_file; replace_file(Path({str(path)!r}), b'')"
    )
    answer = failing("fsync", tmp_path / "trace", code)

    assert f"cannot write 0 bytes to {path}: input/output error" in answer.stderr
    assert (tmp_path / "trace").read_text().count("fsync(") == 1
    assert path.read_bytes() == b"old"


def test_directories_are_made_up_to_the_last(tmp_path: Path) -> None:
    """Those above are made too, and one that exists is left alone."""
    make_directory(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "kept").touch()

    make_directory(tmp_path / "a" / "b")

    assert names_in(tmp_path / "a" / "b") == ["kept"]


def test_a_file_in_the_way_of_a_directory_is_refused(tmp_path: Path) -> None:
    """The message names the directory that was wanted."""
    (tmp_path / "a").touch()

    with pytest.raises(InfrastructureError, match=r"cannot make the directory .*/a/b"):
        make_directory(tmp_path / "a" / "b")


def test_a_directory_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Before the block ends the name does not exist."""
    path = tmp_path / "runs" / "r1"

    with new_directory(path) as folder:
        replace_file(folder / "recipe.yaml", b"steps: []")
        assert not path.exists()

    assert names_in(path) == ["recipe.yaml"]
    assert names_in(path.parent) == ["r1"]


def test_a_directory_that_fails_does_not_appear(tmp_path: Path) -> None:
    """An error inside the block leaves nothing behind."""
    path = tmp_path / "r1"

    def fill() -> None:
        with new_directory(path) as folder:
            replace_file(folder / "half", b"")
            raise EOFError

    with pytest.raises(EOFError):
        fill()

    assert names_in(tmp_path) == []


def test_a_directory_that_exists_is_not_replaced(tmp_path: Path) -> None:
    """Two of one name cannot be, and the first stays."""
    path = tmp_path / "r1"
    make_directory(path)
    (path / "first").touch()

    with pytest.raises(InfrastructureError, match=r"cannot make the directory .*/r1"), new_directory(path) as folder:
        replace_file(folder / "second", b"")

    assert names_in(path) == ["first"]
    assert names_in(tmp_path) == ["r1"]


def test_a_folder_behind_a_symbolic_link_is_used(tmp_path: Path) -> None:
    """A workspace may well lie on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "disk")

    replace_file(tmp_path / "work" / "x", b"1")
    with new_directory(tmp_path / "work" / "r1"):
        pass

    assert names_in(tmp_path / "disk") == ["r1", "x"]


def test_a_finished_file_is_moved_into_place(tmp_path: Path) -> None:
    """What another library wrote gets its name in one move."""
    temporary = tmp_path / f"{TEMPORARY}x"
    temporary.write_bytes(b"new")
    path = tmp_path / "backup"
    path.write_bytes(b"old")

    move_into_place(temporary, path)

    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["backup"]


def test_moving_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names the place."""
    with pytest.raises(InfrastructureError, match=r"cannot put a file in place as .*/backup: no such file"):
        move_into_place(tmp_path / "x", tmp_path / "backup")


def test_files_that_are_durable_are_moved_together(tmp_path: Path) -> None:
    """What had the new name is replaced; a file that is not there is named."""
    for folder in ("landing", "home"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        (tmp_path / "landing" / name).write_text(name)
    (tmp_path / "home" / "b").write_text("former")

    move_synced({tmp_path / "landing" / name: tmp_path / "home" / name for name in ("a", "b")})

    assert [path.read_text() for path in sorted((tmp_path / "home").iterdir())] == ["a", "b"]
    with pytest.raises(InfrastructureError, match=r"cannot put files in place: .*/home/c: no such file"):
        move_synced({tmp_path / "landing" / "c": tmp_path / "home" / "c"})


def test_leftovers_are_swept(tmp_path: Path) -> None:
    """Files, directories and links of interrupted writes go, everything else stays."""
    (tmp_path / f"{TEMPORARY}file").touch()
    (tmp_path / f"{TEMPORARY}folder" / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / f"{TEMPORARY}link").symlink_to(tmp_path / "kept")

    sweep_temporaries(tmp_path)

    assert names_in(tmp_path) == ["kept"]


@pytest.fixture(name="maker")
def _maker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that is filling the directory ``r1`` and goes on when it gets a line."""
    code = (
        "import sys; from pathlib import Path; from orchestrator.files import new_directory\n"
        f"with new_directory(Path({str(tmp_path / 'r1')!r})) as folder:\n"
        "    (folder / 'half').touch(); print(folder.name, flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(TEMPORARY)
        yield process
        process.kill()


def test_a_directory_that_is_being_filled_is_not_swept(tmp_path: Path, maker: subprocess.Popen[str]) -> None:
    """Another process keeps what it is making, and finishes it."""
    sweep_temporaries(tmp_path)

    maker.communicate("go on\n")

    assert maker.returncode == 0
    assert names_in(tmp_path) == ["r1"]
    assert names_in(tmp_path / "r1") == ["half"]


def test_a_directory_whose_maker_died_is_swept(tmp_path: Path, maker: subprocess.Popen[str]) -> None:
    """The lock dies with the process."""
    maker.kill()
    maker.wait()
    assert len(names_in(tmp_path)) == 1

    sweep_temporaries(tmp_path)

    assert names_in(tmp_path) == []


def test_a_lock_file_is_never_opened_through_a_link(tmp_path: Path) -> None:
    """Nobody can make the program lock or create a file elsewhere."""
    (tmp_path / "run.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InfrastructureError, match=r"cannot open the lock file"):
        open_lock(tmp_path / "run.lock")

    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_file_is_made_and_private(tmp_path: Path) -> None:
    """The descriptor is the caller's to close."""
    os.close(open_lock(tmp_path / "run.lock"))

    assert stat.S_IMODE((tmp_path / "run.lock").stat().st_mode) == 0o600


def test_a_directory_takes_the_place_of_another(tmp_path: Path) -> None:
    """With all that it holds, and nothing of the former is left."""
    (tmp_path / "e" / "old").mkdir(parents=True)

    with replacing_directory(tmp_path / "e") as folder:
        write_chunks(folder / "a" / "b", [b"1", b"", b"23"])
        assert names_in(tmp_path / "e") == ["old"]

    assert (names_in(tmp_path), names_in(tmp_path / "e")) == (["e"], ["a"])
    assert (tmp_path / "e" / "a" / "b").read_bytes() == b"123"


def test_a_directory_that_was_not_filled_changes_nothing(tmp_path: Path) -> None:
    """The former one stays, and the half-made one goes."""
    (tmp_path / "e" / "old").mkdir(parents=True)

    with pytest.raises(InfrastructureError), replacing_directory(tmp_path / "e") as folder:
        write_chunks(folder / "e" / "a", torn())

    assert (names_in(tmp_path), names_in(tmp_path / "e")) == (["e"], ["old"])


def test_a_directory_is_replaced_where_names_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By moving the former one away first."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    (tmp_path / "e" / "old").mkdir(parents=True)

    with replacing_directory(tmp_path / "e") as folder:
        write_chunks(folder / "a", [b"1"])

    assert (names_in(tmp_path), names_in(tmp_path / "e")) == (["e"], ["a"])


def test_the_last_of_two_directories_stays(tmp_path: Path) -> None:
    """Both are made at once, and neither hinders the other."""
    with replacing_directory(tmp_path / "e") as first:
        write_chunks(first / "a", [b"1"])
        with replacing_directory(tmp_path / "e") as second:
            write_chunks(second / "b", [b"1"])

    assert (names_in(tmp_path), names_in(tmp_path / "e")) == (["e"], ["a"])


def test_directories_alone_are_swept(tmp_path: Path) -> None:
    """A file of that name may be one that another process is writing."""
    (tmp_path / f"{TEMPORARY}1").mkdir()
    (tmp_path / f"{TEMPORARY}2").touch()

    sweep_directories(tmp_path)

    assert names_in(tmp_path) == [f"{TEMPORARY}2"]


def test_a_file_is_not_written_twice(tmp_path: Path) -> None:
    """What is there stays what it is."""
    write_chunks(tmp_path / "a", [b"1"])

    with pytest.raises(InfrastructureError, match=r"cannot write .*/a: file exists"):
        write_chunks(tmp_path / "a", [b"2"])

    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_file_that_comes_in_pieces_appears_whole(tmp_path: Path) -> None:
    """However many there are."""
    replace_file_by(tmp_path / "f", (b"%d" % number for number in range(3)))

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"012")]


def test_pieces_that_stop_leave_all_as_it_was(tmp_path: Path) -> None:
    """The error is that of who makes them."""
    (tmp_path / "f").write_bytes(b"former")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise KeyError

    with pytest.raises(KeyError):
        replace_file_by(tmp_path / "f", pieces())

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"former")]
