"""A scriptlet's answer is one JSON line, read strictly and shown when it is none."""

from __future__ import annotations

import pytest

from orchestrator.envelope import Envelope, failure, parse_envelope
from orchestrator.errors import EnvelopeError

LINE_SEPARATOR = "\u2028"
NEXT_LINE = "\x85"


def test_success_is_written_as_the_seed_has_it() -> None:
    """Status and the names of the outputs."""
    assert Envelope(outputs=("numbers.stats_v1",)).line() == '{"status": "ok", "outputs": ["numbers.stats_v1"]}'


def test_failure_is_written_as_the_seed_has_it() -> None:
    """Status, reason, exit code and the step's name."""
    line = failure("file not found", step="compute_numbers").line()

    assert line == '{"status": "error", "reason": "file not found", "exit_code": 1, "step": "compute_numbers"}'


def test_values_take_the_place_of_names() -> None:
    """An envelope that carries values writes them as its outputs."""
    line = Envelope(outputs=("csv.rows_v1",), values={"csv.rows_v1": 3}).line()

    assert line == '{"status": "ok", "outputs": {"csv.rows_v1": 3}}'


def test_an_answer_is_read_back() -> None:
    """What one side writes the other side reads."""
    envelope = Envelope(outputs=("a.b_v1",), extra={"energy_ev": -1.5})

    assert parse_envelope(envelope.line() + "\n") == envelope


def test_a_failure_is_read_back() -> None:
    """Reason, exit code and step survive."""
    assert parse_envelope(failure("no input", step="load", exit_code=3).line()) == failure(
        "no input", step="load", exit_code=3
    )


def test_a_map_of_outputs_gives_names_and_values() -> None:
    """This is how a shell scriptlet writes the context."""
    envelope = parse_envelope('{"status":"ok","outputs":{"csv.rows_v1":3,"csv.path_v1":"x"}}')

    assert envelope.outputs == ("csv.rows_v1", "csv.path_v1")
    assert envelope.values == {"csv.rows_v1": 3, "csv.path_v1": "x"}


@pytest.mark.parametrize("character", [LINE_SEPARATOR, NEXT_LINE, "\x1c", "\x0b"])
def test_only_a_newline_ends_the_line(character: str) -> None:
    """Characters that other functions take for line ends may stand inside a JSON string."""
    envelope = Envelope(values={"a.b_v1": f"one{character}two"}, outputs=("a.b_v1",))

    assert parse_envelope(envelope.line()).values == {"a.b_v1": f"one{character}two"}


def test_blank_lines_and_a_carriage_return_do_no_harm() -> None:
    """A shell may well add them."""
    assert parse_envelope('\n{"status":"ok"}\r\n\n').is_ok


def test_a_reason_that_utf8_cannot_write_is_still_written() -> None:
    """A file name with foreign bytes in it must not keep the failure from being reported."""
    line = failure("cannot read \udcff.csv").line()

    assert '"reason": "cannot read ?.csv"' in line
    assert line.encode()


@pytest.mark.parametrize(
    ("stdout", "message"),
    [
        ("", "standard output is empty; expected one JSON line"),
        (" \n\n", "standard output is empty; expected one JSON line"),
        ("hello\n", "standard output is not the JSON envelope"),
        ('{"status":"ok"}\nbye\n', "standard output has 2 lines; the first after the envelope is 'bye'"),
        ('{"status":"ok"}\n{"status":"ok"}\n', "standard output has 2 lines"),
        ('{"status":"ok","x":NaN}', "NaN is not JSON"),
        ('{"status":"ok","status":"error"}', "key 'status' appears twice"),
        ("[1]", 'the envelope needs "status"'),
        ('{"status":"fine"}', 'the envelope needs "status"'),
        ('{"status":["ok"]}', 'the envelope needs "status"'),
        ('{"status":"ok","outputs":"a.b"}', "outputs are '\"a.b\"', not a list of keys or a map"),
        ('{"status":"ok","outputs":[1]}', "outputs: context key '1' is not a dotted name"),
        ('{"status":"ok","outputs":{"_x":1}}', "which only the runner may write"),
        ('{"status":"error","exit_code":"1"}', "exit_code is '1', not an integer"),
    ],
)
def test_anything_else_is_refused_and_shown(stdout: str, message: str) -> None:
    """The error quotes what stands where the envelope should be."""
    with pytest.raises(EnvelopeError) as caught:
        parse_envelope(stdout)

    assert message in caught.value.message


def test_a_long_line_is_shown_cut() -> None:
    """A megabyte of garbage makes a short message."""
    with pytest.raises(EnvelopeError) as caught:
        parse_envelope("x" * 1_000_000)

    assert len(caught.value.message) < 400


def test_the_runner_may_name_its_own_keys() -> None:
    """Core scriptlets answer with keys that begin with an underscore."""
    envelope = parse_envelope('{"status":"ok","outputs":["_run.opened_v1"]}', own=True)

    assert envelope.outputs == ("_run.opened_v1",)
