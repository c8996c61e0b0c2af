"""Every way to a site does the same, whichever it is."""

from __future__ import annotations

import hashlib
import shlex
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.errors import AnswerLateError, AnswerLostError, TransferError
from orchestrator.remote.local import LocalTransport
from orchestrator.remote.ssh import SshTransport
from orchestrator.remote.ssh_config import Login
from orchestrator.remote.transport import OUTPUT_BYTES, Transport

WAYS = ["local", pytest.param("alpha", marks=pytest.mark.slurm), pytest.param("inner", marks=pytest.mark.slurm)]
SECONDS = 20.0


@pytest.fixture(name="way", params=WAYS)
def _way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    """Reach this machine, a login node, or the same over a jump host."""
    if request.param == "local":
        yield LocalTransport("hpc.here")
        return
    config = request.getfixturevalue("centre").config(tmp_path)
    with SshTransport("hpc.there", Login(host=request.param, config_path=str(config))) as way:
        yield way


@pytest.fixture(name="far")
def _far(way: Transport) -> Iterator[str]:
    """Give an empty folder at the site."""
    folder = way.run("mktemp -d", deadline_sec=SECONDS).text.strip()
    yield folder
    way.run(f"rm -rf {shlex.quote(folder)}", deadline_sec=SECONDS)


def test_a_command_is_answered(way: Transport) -> None:
    """By its outputs and its exit code, and one that fails is no error."""
    ran = way.run("cat; echo why >&2; exit 3", b"in", deadline_sec=SECONDS)

    assert (ran.exit_code, ran.stdout, ran.stderr, ran.is_whole) == (3, b"in", "why\n", True)


def test_a_command_is_plain_shell(way: Transport) -> None:
    """Lines, quotes, backslashes, blanks and letters of any kind arrive as they are."""
    ran = way.run("x='a  b'\nprintf '%s|' \"$x\" 'ä\\n' '!' '`$(id)' \"don't\" '\t'", deadline_sec=SECONDS)

    assert ran.text == "a  b|ä\\n|!|`$(id)|don't|\t|"


def test_d1_a_word_stays_a_word(way: Transport) -> None:
    """Whatever stands in it."""
    words = ["; rm -rf ~", "$(id)", "`id`", "&& x", "a\nb", "*", "-rf", "'\"'", "\udcff"]

    ran = way.run(f"printf '%s\\0' {shlex.join(words)}", deadline_sec=SECONDS)

    assert ran.stdout == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def test_a_long_command_is_taken(way: Transport) -> None:
    """One of 200 KB, as a batch script in it may make it."""
    ran = way.run(f"cat <<'E' | wc -c\n{'y' * 99_999}\n{'y' * 99_999}\nE", deadline_sec=SECONDS)

    assert ran.text.strip() == "200000"


def test_a_command_without_input_is_given_none(way: Transport) -> None:
    """It does not wait for more."""
    assert way.run("cat", deadline_sec=SECONDS).stdout == b""


def test_input_that_nobody_reads_is_no_error(way: Transport) -> None:
    """Nor does the command wait until it is read."""
    assert way.run("exit 4", b"x" * 5_000_000, deadline_sec=SECONDS).exit_code == 4


def test_a_syntax_error_is_an_exit_code(way: Transport) -> None:
    """The shell says it."""
    ran = way.run("if", deadline_sec=SECONDS)

    assert ran.exit_code != 0
    assert ran.stderr


def test_s21_much_output_never_blocks(way: Transport) -> None:
    """8 MB on both outputs at once, while as much goes in."""
    command = "head -c 8000000 /dev/zero >&2 & tee /dev/null; wait"

    ran = way.run(command, b"y" * 8_000_000, deadline_sec=60.0)

    assert ran.stdout == b"y" * 8_000_000
    assert ran.is_whole
    assert ran.stderr.startswith("[… ")


def test_f39_more_output_than_fits_is_cut(way: Transport) -> None:
    """50 MB on each: the head is kept and it is said that there was more."""
    ran = way.run("head -c 50000000 /dev/zero >&2 & head -c 50000000 /dev/zero; wait", deadline_sec=100.0)

    assert (len(ran.stdout), ran.is_whole, ran.exit_code) == (OUTPUT_BYTES, False, 0)
    assert len(ran.stderr) < 1_000_000


def test_s21_d9_a_command_has_its_time(way: Transport) -> None:
    """One that says a little now and then, and never ends, is given up too; the way stays usable."""
    with pytest.raises(AnswerLateError, match="within 1 seconds"):
        way.run("while :; do echo .; sleep 0.1; done", deadline_sec=1.0)

    assert way.run("echo on", deadline_sec=SECONDS).text == "on\n"


def test_d9_endless_output_has_its_time(way: Transport) -> None:
    """It is thrown away meanwhile."""
    with pytest.raises(AnswerLateError):
        way.run("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", deadline_sec=1.0)


def test_a_killed_shell_gives_no_answer(way: Transport) -> None:
    """What it did is not known."""
    with pytest.raises(AnswerLostError) as caught:
        way.run(f"kill -{signal.SIGKILL} $$", deadline_sec=SECONDS)

    assert type(caught.value) is AnswerLostError


def test_s18_several_may_ask_at_once(way: Transport) -> None:
    """More than there are channels: the others wait."""
    said: list[str] = []

    def ask(number: int) -> None:
        said.append(way.run(f"sleep 0.2; echo {number}", deadline_sec=SECONDS).text.strip())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == sorted(map(str, range(10)))


@pytest.mark.parametrize("name", ["a", "-rf", "a b", "ä'\"$(id)", "new/deep/a"])
@pytest.mark.parametrize("content", [b"", b"x\0\n\xff" * 100_000])
def test_s22_a_file_goes_there_and_back(way: Transport, far: str, tmp_path: Path, name: str, content: bytes) -> None:
    """Its content and mode, under any name, also in the place of another."""
    source = tmp_path / "source"
    source.write_bytes(content)

    way.put(b"before", f"{far}/{name}")
    way.put(source, f"{far}/{name}", mode=0o750)
    way.get(f"{far}/{name}", tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == content
    there = shlex.quote(f"{far}/{name}")
    assert way.run(f"ls -l -- {there}", deadline_sec=SECONDS).text.startswith("-rwxr-x---")
    assert _names(way, far) == [name.partition("/")[0]]


def test_s22_a_file_does_not_become_a_directory(way: Transport, far: str) -> None:
    """Nor does it land in one of its name."""
    way.run(f"mkdir {far}/a", deadline_sec=SECONDS)

    with pytest.raises(TransferError, match="there is a directory of that name"):
        way.put(b"x", f"{far}/a")

    assert _names(way, f"{far}/a") == []


def test_s22_what_was_left_half_sent_is_swept(way: Transport, far: str) -> None:
    """By the next one that sends the same file."""
    way.run(f": > {far}/a.ms-0123.part", deadline_sec=SECONDS)

    way.put(b"x", f"{far}/a")

    assert _names(way, far) == ["a"]


def test_s22_a_place_where_nothing_can_be_written_is_said_so(way: Transport) -> None:
    """In the words of the site."""
    with pytest.raises(TransferError, match="cannot put /proc/none/a: mkdir: "):
        way.put(b"x", "/proc/none/a")


def test_s22_a_file_that_is_missing_is_said_so(way: Transport, far: str, tmp_path: Path) -> None:
    """What was here under the name stays."""
    (tmp_path / "here").write_bytes(b"before")

    with pytest.raises(TransferError, match="there is no such file"):
        way.get(f"{far}/none", tmp_path / "here")

    assert (tmp_path / "here").read_bytes() == b"before"


def test_many_files_come_in_one_round_trip(way: Transport, far: str, tmp_path: Path) -> None:
    """With their paths, and those that are programs as programs."""
    long = f"{'d' * 120}/{'f' * 120}.txt"
    files = {"a/b/c.json": b"{}", long: b"x" * 70_000, "empty": b"", "ä -x": b"1"}
    _plant(way, f"{far}/attempt", files)
    way.put(b"#!/bin/sh\n", f"{far}/attempt/run.sh", mode=0o755)

    fetched = way.get_tree(f"{far}/attempt", ["."], tmp_path / "back")

    assert sorted(fetched.sha256) == sorted([*files, "run.sh"])
    assert fetched.sha256[long] == hashlib.sha256(b"x" * 70_000).hexdigest()
    assert (tmp_path / "back" / long).read_bytes() == b"x" * 70_000
    assert (tmp_path / "back/run.sh").stat().st_mode & 0o111
    assert _names(way, far) == ["attempt"]


def test_s23_named_files_come_with_their_paths(way: Transport, far: str, tmp_path: Path) -> None:
    """Only they do, and one that is missing is named."""
    _plant(way, f"{far}/t", {"out/a": b"1", "out/b": b"2", "log": b"3"})

    fetched = way.get_tree(f"{far}/t", ["out/b", "log"], tmp_path / "back")

    assert sorted(fetched.sha256) == ["log", "out/b"]
    with pytest.raises(TransferError, match="none"):
        way.get_tree(f"{far}/t", ["log", "none"], tmp_path / "more")


def test_s23_an_archive_may_be_as_long_as_some_reads(way: Transport, far: str, tmp_path: Path) -> None:
    """Its end is then seen before that of the command."""
    length = 5 * 32_768
    _plant(way, f"{far}/t", {"a": b"1" * (length - 3 * 512)})

    fetched = way.get_tree(f"{far}/t", ["a"], tmp_path / "back")

    assert sorted(fetched.sha256) == ["a"]


def test_s23_more_names_come_than_a_command_can_have(way: Transport, far: str, tmp_path: Path) -> None:
    """The site is not asked in words that its system limits."""
    folder = "/".join(["y" * 230] * 14)
    many = [f"{folder}/{number:03}" for number in range(700)]
    way.run(f"mkdir -p {far}/{folder}; cd {far}/{folder}; seq -f %03.0f 0 699 | xargs touch", deadline_sec=SECONDS)

    fetched = way.get_tree(far, many, tmp_path / "back")

    assert sorted(fetched.sha256) == many


@pytest.mark.parametrize("name", ["a\nb", "a\\nb", "\\a", "a\rb", " a  b", "-a", "ä"])
def test_s22_a_digest_is_found_under_any_name(way: Transport, far: str, tmp_path: Path, name: str) -> None:
    """Each file is compared with the digest that the site made of it."""
    _plant(way, far, {name: b"1"})

    assert way.get_tree(far, [name], tmp_path / "back").sha256 == {name: hashlib.sha256(b"1").hexdigest()}


def test_c4_links_are_left_out(way: Transport, far: str, tmp_path: Path) -> None:
    """They and pipes are named; a second name of a file is a link too."""
    way.run(f"cd {far}; echo 1 > a; ln a b; ln -s /etc/passwd c; mkfifo d", deadline_sec=SECONDS)

    fetched = way.get_tree(far, ["a", "b", "c", "d"], tmp_path / "back")

    assert list(fetched.sha256) == ["a"]
    assert fetched.left_out == ("b", "c", "d")
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["a"]


def test_c6_more_than_was_allowed_is_refused(way: Transport, far: str, tmp_path: Path) -> None:
    """In bytes and in files."""
    _plant(way, f"{far}/t", {f"{number}": b"x" * 1000 for number in range(50)})

    with pytest.raises(TransferError, match="more than 10000 bytes"):
        way.get_tree(f"{far}/t", ["."], tmp_path / "back", most_bytes=10_000)
    with pytest.raises(TransferError, match="more than 10 files"):
        way.get_tree(f"{far}/t", ["."], tmp_path / "back", most_files=10)


def test_a_path_is_looked_at(way: Transport, far: str) -> None:
    """Its kind and size; a link is not followed, and what is missing is None."""
    way.run(f"cd {far}; printf 12345 > 'a b'; ln -s nowhere l; mkdir d; mkfifo p", deadline_sec=SECONDS)

    seen = {name: way.stat(f"{far}/{name}") for name in ("a b", "l", "d", "p", "none")}

    assert {name: stat and stat.kind for name, stat in seen.items()} == {
        "a b": "file",
        "l": "link",
        "d": "directory",
        "p": "other",
        "none": None,
    }
    found = seen["a b"]
    assert found is not None
    assert found.size == 5


def _plant(way: Transport, folder: str, files: Mapping[str, bytes]) -> None:
    """Put files below a folder of the site."""
    for name, content in files.items():
        way.put(content, f"{folder}/{name}")


def _names(way: Transport, folder: str) -> list[str]:
    """Give what is in a folder of the site, also what is hidden."""
    return way.run(f"ls -A {shlex.quote(folder)}", deadline_sec=SECONDS).text.split("\n")[:-1]
