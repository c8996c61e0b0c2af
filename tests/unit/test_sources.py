"""Reading source files: what is taken, what is refused, and where things stand in the text."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.sources import MAX_BYTES, Source, read_source, refusal

DOCUMENT = "name: demo\nsteps:\n  - {a: 1, 'b c': [x, 'yy']}\n  - text: |\n      folded\n"


def refused(path: Path) -> Problem:
    """Give the one problem for which a file is refused."""
    with pytest.raises(InvalidFileError) as caught:
        read_source(path)
    (problem,) = caught.value.problems
    return problem


def test_a_file_is_read_under_the_name_given(tmp_path: Path) -> None:
    """The source keeps the path as given, the text, and the digest of the bytes."""
    path = tmp_path / "r.yaml"
    path.write_bytes(b"a: 1\n")

    source = read_source(path)

    assert (source.name, source.text) == (str(path), "a: 1\n")
    assert source.sha256 == hashlib.sha256(b"a: 1\n").hexdigest()


def test_a_byte_order_mark_is_dropped_but_counts_in_the_digest() -> None:
    """The digest is of the bytes as they are, also where the text leaves the mark out."""
    raw = b"\xef\xbb\xbfa: 1\n"

    source = Source.from_bytes("r.yaml", raw)

    assert source.text == "a: 1\n"
    assert source.sha256 == hashlib.sha256(raw).hexdigest()


def test_text_gives_the_same_source_as_its_bytes() -> None:
    """Standard input is read as text and is no different from a file."""
    assert Source.from_text("<stdin>", "é: 1\n") == Source.from_bytes("<stdin>", "é: 1\n".encode())


def test_a_missing_file_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    """A slip in a file name is answered with the file beside it."""
    (tmp_path / "median.yaml").touch()

    problem = refused(tmp_path / "medain.yaml")

    assert problem.message == f"'{tmp_path}/medain.yaml' does not exist"
    assert problem.help == "did you mean 'median.yaml'?"


def test_a_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """Without a folder there is nothing to suggest."""
    assert refused(tmp_path / "none" / "r.yaml").help == "check the path"


def test_a_symbolic_link_is_refused_with_its_target(tmp_path: Path) -> None:
    """A link is not followed; the message says what to name instead."""
    (tmp_path / "real.yaml").write_text("a: 1\n")
    (tmp_path / "r.yaml").symlink_to("real.yaml")

    problem = refused(tmp_path / "r.yaml")

    assert problem.message.endswith("is a symbolic link")
    assert problem.help == "name the file it points to: 'real.yaml'"


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    """Nobody ever writes to this pipe, and reading it ends at once all the same."""
    os.mkfifo(tmp_path / "r.yaml")

    assert refused(tmp_path / "r.yaml").message.endswith("is a pipe")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A folder is answered with what to name."""
    problem = refused(tmp_path)

    assert (problem.message, problem.help) == (f"'{tmp_path}' is a directory", "name a file in it")


def test_a_device_is_refused() -> None:
    """A device that never ends is not read at all."""
    assert refused(Path("/dev/zero")).message == "'/dev/zero' is a device"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket cannot even be opened, and the message says why."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("r.yaml")

        assert refused(Path("r.yaml")).message == "'r.yaml' is a socket"


def test_a_path_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """A NUL byte or a name of 5,000 characters is a refused path, not a crash."""
    assert refused(Path("a\0b")).message == "'a\\x00b' cannot be read: embedded null byte"
    assert refused(tmp_path / ("x" * 5_000)).message.endswith("is longer than a path can be")


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    """One byte too many is too many, and nothing of it is read."""
    path = tmp_path / "r.yaml"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)

    problem = refused(path)

    assert (problem.code, problem.message) == ("MS109", f"'{path}' is larger than 8388608 bytes")


def test_bytes_that_are_not_utf8_are_refused_where_they_stand() -> None:
    """The frame shows the line with the bad byte marked."""
    with pytest.raises(InvalidFileError) as caught:
        Source.from_bytes("r.yaml", "a: 1\né: \xff\n".encode("latin-1").replace(b"\xe9", "é".encode()))

    assert str(caught.value) == (
        "r.yaml:2:4: error[MS108]: expected UTF-8, got the byte 0xff at byte 9\n"
        "    2 | é: \N{REPLACEMENT CHARACTER}\n"
        "      |    ^\n"
        "      = help: save the file as UTF-8"
    )


def test_utf16_is_refused_by_name() -> None:
    """An editor that saves UTF-16 is told what to save instead."""
    with pytest.raises(InvalidFileError, match="expected UTF-8, got UTF-16 at byte 0"):
        Source.from_bytes("r.yaml", "a: 1".encode("utf-16"))


def test_text_with_a_lone_surrogate_is_refused() -> None:
    """Standard input in another encoding reaches us as surrogates, which are not text."""
    with pytest.raises(InvalidFileError, match="got the byte 0xed at byte 3"):
        Source.from_text("<stdin>", "a: \udcff")


@pytest.mark.parametrize(
    ("path", "of_key", "marked"),
    [
        ((), False, "name: demo"),
        (("name",), False, "demo"),
        (("name",), True, "name"),
        (("steps", 0), False, "{a: 1, 'b c': [x, 'yy']}"),
        (("steps", 0, "b c"), True, "'b c'"),
        (("steps", 0, "b c", 1), False, "'yy'"),
        (("steps", 1, "text"), False, "|"),
    ],
)
def test_a_place_marks_the_node_at_a_path(path: tuple[str | int, ...], of_key: bool, marked: str) -> None:
    """Keys and values are found by their path, and a span of several lines is marked on its first."""
    place = Source.from_text("r.yaml", DOCUMENT).place(path, of_key=of_key)

    assert place.text[place.column - 1 :][: place.width] == marked


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("steps", 0, "missing"), "r.yaml:3:5"),
        (("steps", 0, 7), "r.yaml:3:5"),
        (("steps", 0, "a", "deeper"), "r.yaml:3:9"),
        (("missing", "deeper"), "r.yaml:1:1"),
    ],
)
def test_a_place_that_is_missing_falls_back_to_the_nearest_above(path: tuple[str | int, ...], expected: str) -> None:
    """What is not there is pointed at where it would belong."""
    assert str(Source.from_text("r.yaml", DOCUMENT).place(path, of_key=True)) == expected


def test_a_place_below_an_alias_is_where_the_value_is_written() -> None:
    """The alias itself is marked as the value; what lies below it stands at its anchor."""
    source = Source.from_text("r.yaml", "a: &x {k: 1}\nb: *x\n")

    assert str(source.place(("b",))) == "r.yaml:2:4"
    assert str(source.place(("b", "k"))) == "r.yaml:1:11"


def test_a_place_is_found_in_what_stands_before_a_syntax_error() -> None:
    """A fault further down does not lose the places above it."""
    assert str(Source.from_text("r.yaml", "a: 1\nb: [").place(("a",))) == "r.yaml:1:4"


def test_lines_end_as_yaml_says() -> None:
    """Windows line ends are one line end, and do not show."""
    place = Source.from_text("r.yaml", "a: 1\r\nb: 2\r\n").place(("b",))

    assert (str(place), place.text) == ("r.yaml:2:4", "b: 2")


def test_a_place_in_an_endless_line_shows_no_line() -> None:
    """Nobody finds column 3,000,000 by eye, and a thousand such lines would fill the memory."""
    place = Source.from_text("r.yaml", " " * 3_000_000 + "x").at(3_000_000, 3_000_001)

    assert (place.column, place.text, place.width) == (3_000_001, "", 1)


def test_problems_are_put_in_file_order() -> None:
    """Whoever found a problem first, the reader meets it from top to bottom."""
    source = Source.from_text("r.yaml", "a: 1\nb: 2\n")
    later, earlier = Problem("MS106", "later", source.at(5)), Problem("MS106", "earlier", source.at(0))

    assert refusal([later, earlier]).problems == (earlier, later)


def test_problems_beyond_a_thousand_are_counted() -> None:
    """A generated file with one slip everywhere does not flood the terminal."""
    place = Source.from_text("r.yaml", "a: 1\n").at(0)

    problems = refusal([Problem("MS106", "same", place)] * 1_003).problems

    assert len(problems) == 1_001
    assert problems[-1].message == "3 more problems are not shown"
