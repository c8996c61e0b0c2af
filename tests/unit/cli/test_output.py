"""Results are tables for people, and tab-separated values or JSON for programs."""

from __future__ import annotations

import sys

import pytest

from orchestrator.cli.output import aligned, harmless, print_json, print_table, seconds
from tests.unit.cli.program import Terminal

ROWS: list[list[object]] = [["load", 1, None], ["relax", "007", "a\tb\nc"]]


def test_a_table_is_tab_separated_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a row after the head, whatever the cells hold."""
    print_table(ROWS, ["task", "count", "note"])

    assert capsys.readouterr().out == "task\tcount\tnote\nload\t1\t\nrelax\t007\ta b c\n"


def test_a_table_is_aligned_on_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells stay as they are written."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)

    print_table(ROWS, ["task", "count", "note"])

    assert terminal.read().splitlines() == [
        "task    count    note",
        "------  -------  ------",
        "load    1",
        "relax   007      a b c",
    ]


def test_a_column_without_cells_is_left_out_on_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program still finds it."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)

    print_table([["load", None, 0], ["relax", "", 1]], ["task", "reason", "count"])

    assert terminal.read().splitlines() == ["task    count", "------  -------", "load    0", "relax   1"]


def test_a_table_without_rows_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    """A program finds its columns."""
    print_table([], ["task", "count"])

    assert capsys.readouterr().out == "task\tcount\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_cell_speaks_to_the_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    """A reason may hold what a step wrote."""
    if is_terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)

    print_table([["a\x1b[2J\rb\x85c\u2028d"]], ["reason"])

    text = terminal.read() if is_terminal else capsys.readouterr().out
    assert text.splitlines()[-1] == "a\\x1b[2J\\rb\\x85c\\u2028d"


def test_json_is_one_line_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Written as people write, not escaped."""
    print_json({"a": [1, "µ"]})

    assert capsys.readouterr().out == '{"a": [1, "µ"]}\n'


def test_json_is_indented_on_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people to read."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)

    print_json({"a": 1})

    assert terminal.read() == '{\n  "a": 1\n}\n'


def test_numbers_in_a_table_stay_as_they_are() -> None:
    """An id such as 1e5 is no number."""
    assert aligned([["1e5"], ["0012"]], ["id"]).splitlines()[2:] == ["1e5", "0012"]


@pytest.mark.parametrize(
    ("duration_sec", "text"),
    [
        (None, ""),
        (0.0, "0.00s"),
        (0.126, "0.13s"),
        (59.99, "59.99s"),
        (59.996, "1m00s"),
        (60.0, "1m00s"),
        (185.9, "3m05s"),
        (3599.9, "59m59s"),
        (3600.0, "1h00m"),
        (7620.0, "2h07m"),
        (360_000.0, "100h00m"),
    ],
)
def test_durations_are_short(duration_sec: float | None, text: str) -> None:
    """Two parts at most."""
    assert seconds(duration_sec) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µ\ttext\n", "plain µ\ttext\n"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\x7f", "a\\rb\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """Instead of being sent; tabs and line ends are no danger."""
    assert harmless(text) == shown
