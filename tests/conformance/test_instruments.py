"""Every way of reaching an instrument measures once, waits for what is whole, and believes nothing that is odd."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.errors import InstrumentAwayError
from orchestrator.layout import REQUEST, STARTED
from orchestrator.operators.instruments.measurement import Instrument, Reading, Request
from orchestrator.operators.instruments.registry import instrument_for
from orchestrator.testing.furnace import SPECTRUM
from orchestrator.testing.oxidation import measure
from tests.conformance.laboratories import FIRST, SETTINGS, Laboratory, laboratory, sha256
from tests.conformance.scripted import Script, script

KINDS = ("files", "command", "http")
FILM = measure(SETTINGS, 0)
LONG_SEC = 600.0


@pytest.fixture(autouse=True)
def _host_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test hold an instrument."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(name="quick", params=KINDS)
def _quick(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Laboratory]:
    """Give a furnace that is done at once."""
    with laboratory(request.param, tmp_path, 0.0) as found:
        yield found


@pytest.fixture(name="slow", params=KINDS)
def _slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Laboratory]:
    """Give a furnace that is never done."""
    with laboratory(request.param, tmp_path, LONG_SEC) as found:
        yield found


@pytest.fixture(name="said", params=KINDS)
def _said(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Script]:
    """Give an instrument that says what a test tells it to."""
    with script(request.param, tmp_path) as found:
        yield found


def ended(instrument: Instrument, request: Request) -> Reading:
    """Ask until the measurement has ended."""
    for _ in range(3000):
        reading = asked(instrument, request)
        if reading.state == "ended":
            return reading
        time.sleep(0.02)
    raise AssertionError(reading)


def asked(instrument: Instrument, request: Request) -> Reading:
    """Ask once; an instrument that is away is one that is waited for."""
    try:
        return instrument.poll(request)
    except InstrumentAwayError as error:
        return Reading(state="waiting", note=error.message)


def until(condition: Callable[[], object]) -> None:
    """Wait for what happens elsewhere."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError


def test_a_measurement_ends_with_its_values_and_files(quick: Laboratory) -> None:
    """The files lie in the attempt's folder; the request stays beside them."""
    instrument, request = quick.instrument(), quick.request()

    assert instrument.start(request) == "a1"
    reading = ended(instrument, request)

    assert (reading.status, reading.data) == ("COMPLETED", {"thickness_nm": FILM.thickness_nm})
    assert (reading.files, (request.folder / SPECTRUM).read_bytes()) == ((SPECTRUM,), FILM.spectrum)
    assert json.loads((request.folder / REQUEST).read_bytes())["parameters"] == SETTINGS


def test_started_twice_it_measures_once(quick: Laboratory) -> None:
    """And it is told once."""
    instrument, request = quick.instrument(), quick.request()

    instrument.start(request)
    instrument.start(request)
    ended(instrument, request)

    assert [(entry["told"], entry["measured"]) for entry in quick.kept().values()] == [(1, 1)]


@pytest.mark.parametrize("lost", [[], [STARTED]], ids=["recorded", "unrecorded"])
def test_a_process_that_dies_after_the_start_leaves_one_measurement(slow: Laboratory, lost: list[str]) -> None:
    """The next one asks what became of it, also where the first could not even record that it had started."""
    request = slow.request()
    slow.instrument().start(request)
    until(slow.kept)
    for name in lost:
        (request.folder / name).unlink()

    instrument = slow.instrument()
    instrument.start(request)

    assert instrument.poll(request).state in {"waiting", "running"}
    assert [(entry["told"], entry["measured"]) for entry in slow.kept().values()] == [(1, 1)]


def test_a_process_that_dies_before_the_start_is_made_up_for(quick: Laboratory) -> None:
    """The request was written and the instrument may never have heard of it."""
    request = quick.request()
    request.folder.mkdir(parents=True)
    (request.folder / REQUEST).write_text(json.dumps(request.document()))

    assert ended(quick.instrument(), request).status == "COMPLETED"
    assert quick.measured() == {"a1": 1}


@pytest.mark.parametrize("kind", ["command", "http"])
def test_F30_an_answer_that_is_lost_after_the_start_costs_nothing(kind: str, tmp_path: Path) -> None:  # noqa: N802  row of the fault matrix
    """The instrument is asked, not told again."""
    with laboratory(kind, tmp_path, 0.0, loses_first=True) as lab:
        instrument, request = lab.instrument(), lab.request()
        with pytest.raises(InstrumentAwayError):
            instrument.start(request)

        assert ended(instrument, request).status == "COMPLETED"
        assert [(entry["told"], entry["measured"]) for entry in lab.kept().values()] == [(1, 1)]


def test_a_request_that_is_refused_is_a_failure_with_its_reason(quick: Laboratory) -> None:
    """Nothing is measured."""
    instrument, request = quick.instrument(), quick.request(temperature_c=3000)
    instrument.start(request)

    reading = ended(instrument, request)

    assert (reading.status, reading.error) == (
        "FAILED",
        "temperature_c must be a number from 800 to 1200, not 3000",
    )
    assert quick.measured() == {}


def test_what_is_aborted_is_stopped_and_lets_the_next_one_in(slow: Laboratory) -> None:
    """The instrument is free for others."""
    instrument, first, second = slow.instrument(), slow.request("a1"), slow.request("a2")
    instrument.start(first)
    until(slow.kept)

    instrument.abort(first)
    until(lambda: slow.kept()["a1"]["aborted"])
    instrument.start(second)

    until(lambda: slow.measured() == {"a1": 1, "a2": 1})


def test_what_never_began_is_aborted_without_a_word(slow: Laboratory) -> None:
    """The instrument does not hear of it."""
    slow.instrument().abort(slow.request())

    assert slow.kept() == {}


def test_runs_take_turns(slow: Laboratory) -> None:
    """The second is told who has the instrument, which does not hear of it yet."""
    first, second = slow.instrument(), slow.instrument()
    first.start(slow.request("a1"))
    second.start(slow.request("a2"))

    note = second.poll(slow.request("a2")).note

    assert f"the instrument is busy: process {os.getpid()} measures grow_a1 in " in note
    assert not (slow.request("a2").folder / REQUEST).exists()


def test_the_next_one_begins_when_the_first_has_ended(quick: Laboratory) -> None:
    """Nobody need start it again."""
    first, second = quick.instrument(), quick.instrument()
    first.start(quick.request("a1"))
    second.start(quick.request("a2"))
    ended(first, quick.request("a1"))

    assert ended(second, quick.request("a2")).status == "COMPLETED"


def test_who_comes_back_takes_the_instrument_again(slow: Laboratory) -> None:
    """As long as it measures, others wait."""
    left = slow.instrument()
    left.start(slow.request("a1"))
    left.leave()

    back, other = slow.instrument(), slow.instrument()
    back.poll(slow.request("a1"))

    assert "is busy" in other.poll(slow.request("a2")).note


GOOD: dict[str, object] = {"status": "COMPLETED", "data": {"x": 1}}
WITH_FILE = {"files": [{"name": "s.csv", "sha256": sha256(b"spectrum")}]}


def taken(said: Script, tmp_path: Path, answer: bytes) -> Reading:
    """Start, let the instrument say something, and ask once."""
    instrument = instrument_for("experiment.odd", said.backend)
    request = Request(token=FIRST, task_id="t", folder=tmp_path / "attempt", files=("input.csv",))
    instrument.start(request)
    with contextlib.suppress(FileExistsError):
        (request.folder / "s.csv").write_bytes(b"spectrum")
    said.says(answer, request)
    return asked(instrument, request)


def spoken(said: Script, document: dict[str, object]) -> bytes:
    """Give a result as the instrument says it."""
    return json.dumps(document if said.is_files else {"state": "ended", **document}).encode()


@pytest.mark.parametrize(
    "document",
    [
        GOOD,
        {**GOOD, "token": "a1", "task_id": "t"},
        {**GOOD, **WITH_FILE},
        {"status": "FAILED", "error": "broken"},
    ],
)
def test_a_result_is_taken(said: Script, tmp_path: Path, document: dict[str, object]) -> None:
    """With its values and files."""
    reading = taken(said, tmp_path, spoken(said, document))

    assert (reading.state, reading.status, reading.error) == ("ended", document["status"], document.get("error", ""))
    assert reading.files == (("s.csv",) if "files" in document else ())


def test_a_byte_order_mark_is_no_fault(said: Script, tmp_path: Path) -> None:
    """Some programs write one."""
    assert taken(said, tmp_path, b"\xef\xbb\xbf" + spoken(said, GOOD)).status == "COMPLETED"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"status": "completed"},
        {**GOOD, "approve": True},
        {**GOOD, "token": "a0"},
        {**GOOD, "task_id": "other"},
        {**GOOD, "error": ["x"]},
        {**GOOD, "files": "s.csv"},
        {**GOOD, "files": ["x"] * 1001},
        {**GOOD, "files": [{"name": "s.csv", "sha256": "0" * 64}]},
        {**GOOD, "files": [{"name": "s.csv", "sha256": 5}]},
        {**GOOD, "files": [{"sha256": sha256(b"spectrum")}]},
        {**GOOD, "files": [{**WITH_FILE["files"][0], "size": 8}]},
        {**GOOD, "files": [WITH_FILE["files"][0], WITH_FILE["files"][0]]},
        {**GOOD, "data": "x" * 9_000_000},
        {"state": "finished"},
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_C8_a_result_that_is_odd_is_waited_out(said: Script, tmp_path: Path, document: dict[str, object]) -> None:  # noqa: N802  row of the fault matrix
    """The note says what is wrong with it."""
    reading = taken(said, tmp_path, spoken(said, document))

    assert (reading.state, bool(reading.note)) == ("waiting", True)


@pytest.mark.parametrize(
    "name",
    ["../s.csv", "/etc/passwd", "", ".", "..", "a//b", ".hidden", "a\\b", "a\nb", "x" * 101, "stdout.log", "INPUT.csv"],
)
def test_C2_C6_a_file_out_of_place_is_waited_out(said: Script, tmp_path: Path, name: str) -> None:  # noqa: N802  row of the fault matrix
    """It is neither looked at nor written."""
    (tmp_path / "s.csv").write_bytes(b"canary")
    files = [{"name": name, "sha256": sha256(b"spectrum")}]

    reading = taken(said, tmp_path, spoken(said, {**GOOD, "files": files}))

    assert (reading.state, bool(reading.note)) == ("waiting", True)
    assert (tmp_path / "s.csv").read_bytes() == b"canary"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"state": "ended", "status": "COMPL',
        b'{"state": "ended", "status": "COMPLETED", "status": "FAILED"}',
        b'{"state": "ended", "status": "COMPLETED", "data": NaN}',
        b'{"state": "ended"}{"state": "ended"}',
        b"[" * 100_000,
        b"\xff\xfe{}",
        b"[]",
    ],
    ids=lambda answer: str(answer[:40]),
)
def test_F42_a_torn_answer_is_waited_out(said: Script, tmp_path: Path, answer: bytes) -> None:  # noqa: N802  row of the fault matrix
    """And the whole one is taken."""
    answer = answer.replace(b'"state": "ended", ', b"") if said.is_files else answer
    torn = taken(said, tmp_path, answer)

    assert (torn.state, bool(torn.note)) == ("waiting", True)
    assert taken(said, tmp_path, spoken(said, GOOD)).status == "COMPLETED"


def link(path: Path) -> None:
    """Make a link to a file elsewhere."""
    path.with_name("elsewhere").write_bytes(b"spectrum")
    path.symlink_to("elsewhere")


def hard_link(path: Path) -> None:
    """Make another name of a file elsewhere."""
    path.with_name("elsewhere").write_bytes(b"spectrum")
    path.hardlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("make", [link, hard_link, os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", ["s.csv", "experiment_result.json"])
def test_C4_only_a_file_of_its_own_is_a_result(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:  # noqa: N802  row of the fault matrix
    """No link, pipe or folder is followed, waited for or read."""
    with script("files", tmp_path) as said:
        instrument = instrument_for("experiment.odd", said.backend)
        request = Request(token=FIRST, task_id="t", folder=tmp_path / "attempt")
        instrument.start(request)
        make(request.folder / name)
        if name == "s.csv":
            said.says(spoken(said, {**GOOD, "files": ["s.csv"]}), request)

        reading = instrument.poll(request)

    assert (reading.state, bool(reading.note)) == ("waiting", True)


def test_a_file_that_follows_its_result_is_waited_for(tmp_path: Path) -> None:
    """Whoever writes by hand may write in any order."""
    with script("files", tmp_path) as said:
        instrument = instrument_for("experiment.hand", said.backend)
        request = Request(token=FIRST, task_id="t", folder=tmp_path / "attempt")
        instrument.start(request)
        said.says(spoken(said, {**GOOD, "files": ["s.csv"]}), request)
        before = instrument.poll(request)
        (request.folder / "s.csv").write_text("1,2")

        assert (before.state, before.note) == (
            "waiting",
            "experiment_result.json: file 's.csv': it cannot be read, or is a link",
        )
        assert instrument.poll(request).files == ("s.csv",)


@pytest.mark.parametrize("kind", ["command", "http"])
def test_what_an_instrument_has_forgotten_is_not_measured_again(kind: str, tmp_path: Path) -> None:
    """Whether it is worth another wafer is for people, or the step's retries, to say."""
    with laboratory(kind, tmp_path, LONG_SEC) as lab:
        instrument, request = lab.instrument(), lab.request()
        instrument.start(request)
        forget(lab)

        reading = instrument.poll(request)

        assert (reading.state, reading.status) == ("ended", "FAILED")
        assert "does not know the measurement any more" in reading.error
        assert lab.measured() == {}


def forget(lab: Laboratory) -> None:
    """Let the furnace forget everything."""
    lab.kept().clear()
    (lab.folder / "furnace" / "furnace.json").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["command", "http"])
def test_a_furnace_that_is_full_is_told_later(kind: str, tmp_path: Path) -> None:
    """Also where whoever filled it holds no lock."""
    with laboratory(kind, tmp_path, LONG_SEC) as lab:
        left = lab.instrument()
        left.start(lab.request("a1"))
        left.leave()
        instrument = lab.instrument()
        instrument.start(lab.request("a2"))

        assert instrument.poll(lab.request("a2")) == Reading(state="waiting", note="grow_a1 is in the furnace")
