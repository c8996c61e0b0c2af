"""Instruments that are away are asked again, and what cannot be reached is never a failed measurement."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.errors import InstrumentAwayError
from orchestrator.operators.instruments.measurement import Reading, Request
from orchestrator.operators.instruments.registry import instrument_for
from orchestrator.wiring.model import CommandBackend, FilesBackend, HttpBackend
from tests.unit.operators.web_server import answering_with

FIRST = "a1"


@pytest.fixture(name="request_", autouse=True)
def _request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Give a request on a host of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return Request(token=FIRST, task_id="t", folder=tmp_path / "attempt")


def answer(status: str, body: str = "") -> bytes:
    """Give an answer over HTTP."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def http_faults(request: Request, reply: bytes) -> str:
    """Give why an instrument cannot be reached over HTTP."""
    with answering_with(reply) as server, pytest.raises(InstrumentAwayError) as caught:
        instrument_for("experiment.x", HttpBackend(type="http", url=server.url)).start(request)
    return caught.value.message


@pytest.mark.parametrize("status", ["401 Who", "403 No", "404 Where", "500 Oh", "503 Later", "302 There", "204 Hm"])
def test_a_status_that_says_nothing_of_the_request_is_waited_out(request_: Request, status: str) -> None:
    """A gateway may have given it."""
    message = f"the instrument cannot be reached by PUT: it answered with status {status[:3]}"

    assert http_faults(request_, answer(status)) == message


@pytest.mark.parametrize("body", ["", "<html>", '{"state": "unknown", "state": 1}', '{"state": "gone"}'])
def test_R5_not_found_is_not_never_heard_of(request_: Request, body: str) -> None:  # noqa: N802  rule of the fault matrix
    """Only the instrument's own word lets it be told."""
    request_.folder.mkdir()
    (request_.folder / "experiment_request.json").write_text("{}")

    assert "by GET: it answered with status 404" in http_faults(request_, answer("404 Not Found", body))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer("422 No", '{"error": "too hot"}'), "too hot"),
        (answer("400 No", "<html>"), "the instrument refused the request with status 400"),
        (answer("409 No", '{"error": 5}'), "the instrument refused the request with status 409"),
    ],
)
def test_a_request_that_is_refused_over_http_has_failed(request_: Request, reply: bytes, error: str) -> None:
    """With what the instrument says."""
    with answering_with(reply) as server:
        reading = instrument_for("experiment.x", HttpBackend(type="http", url=server.url)).poll(request_)

    assert reading == Reading(state="ended", status="FAILED", data={}, error=error)


@pytest.mark.parametrize(
    ("command", "timeout", "message"),
    [
        (
            ("no-driver",),
            60,
            "driver 'no-driver', called with 'start': it cannot be started: no such file or directory",
        ),
        (
            ("/bin/sh", "-c", "echo 'no port' >&2; exit 3"),
            60,
            "driver 'sh', called with 'start': exit code 3: no port",
        ),
        (("/bin/sh", "-c", "sleep 60"), 0.3, "driver 'sh', called with 'start': it did not end within 0.3 seconds"),
    ],
)
def test_a_driver_that_fails_is_called_again(
    request_: Request, command: tuple[str, ...], timeout: float, message: str
) -> None:
    """However often; the last line that it wrote on standard error is shown."""
    backend = CommandBackend(type="command", command=command, timeout=timeout)

    with pytest.raises(InstrumentAwayError) as caught:
        instrument_for("experiment.x", backend).start(request_)

    assert caught.value.message == message


def test_a_driver_gets_the_request_on_standard_input(request_: Request, tmp_path: Path) -> None:
    """One line, with the folder in which the results go; no variable that injects code comes along."""
    code = (
        "import os, sys; print(sys.stdin.read(), *[n for n in os.environ if n.startswith('PYTHON')], file=sys.stderr)"
    )
    backend = CommandBackend(type="command", command=(sys.executable, "-c", f"{code}; sys.exit(1)"))

    with pytest.raises(InstrumentAwayError) as caught:
        instrument_for("experiment.x", backend).start(request_)

    assert f'"folder":"{tmp_path / "attempt"}"' in caught.value.message


def test_an_instrument_that_says_it_cannot_tell_is_asked_again(request_: Request) -> None:
    """Its port may be in use."""
    script = """[ "$0" = start ] && echo '{"state":"running"}' || echo '{"state":"busy","note":"in use"}'"""
    instrument = instrument_for("experiment.x", CommandBackend(type="command", command=("sh", "-c", script)))
    instrument.start(request_)

    assert instrument.poll(request_) == Reading(state="waiting", note="in use")


def test_without_a_limit_there_is_no_lock(request_: Request, tmp_path: Path) -> None:
    """As many measure as there are."""
    instrument_for("experiment.x", FilesBackend(type="files"), at_once=None).start(request_)

    assert list(tmp_path.glob("matterstack-*")) == []
