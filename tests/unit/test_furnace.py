"""The sample instrument measures what is physically plausible, always the same, and remembers what it was told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.operators.web import send
from orchestrator.testing.furnace import Furnace
from orchestrator.testing.oxidation import complaint, measure, reflectance, thickness_nm

SETTINGS = {"temperature_c": 1000, "minutes": 60}
REQUEST: dict[str, Any] = {"token": "a1", "task_id": "grow", "parameters": SETTINGS, "config": {}}


@pytest.mark.parametrize(
    ("temperature_c", "minutes", "low", "high"), [(900, 120, 35, 50), (1000, 60, 50, 65), (1100, 60, 95, 120)]
)
def test_an_oxide_is_as_thick_as_in_textbooks(temperature_c: float, minutes: float, low: float, high: float) -> None:
    """In dry oxygen, on (100) silicon, in nm."""
    assert low < thickness_nm(temperature_c, minutes) < high


def test_a_film_shows_as_in_optics() -> None:
    """Bare silicon reflects a third of the light; a quarter of a wavelength of oxide reflects least."""
    assert round(reflectance(0.0, 600.0), 3) == 0.348
    assert round(reflectance(600.0 / 4 / 1.46, 600.0), 3) == 0.085


def test_a_measurement_can_be_repeated() -> None:
    """With the same seed it is the same to the last byte, and with another it is near."""
    first, same, other = (measure(SETTINGS, seed) for seed in (1, 1, 2))

    assert first == same != other
    assert abs(first.thickness_nm / other.thickness_nm - 1.0) < 0.05
    assert first.spectrum.startswith(b"wavelength_nm,reflectance\n400,")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"minutes": True}, "minutes must be a number from 1 to 600, not True"),
        ({"temperature_c": 20}, "temperature_c must be a number from 800 to 1200, not 20"),
        ({"gas": "O2"}, "there is no setting 'gas'"),
    ],
)
def test_a_furnace_says_what_it_does_not_do(changes: dict[str, object], said: str) -> None:
    """Before anything is put in."""
    assert complaint({**SETTINGS, **changes}) == said


def test_a_furnace_has_room_for_one_wafer() -> None:
    """The second is told who is in."""
    furnace = Furnace(seconds=600)
    furnace.start(REQUEST)

    assert furnace.start({**REQUEST, "token": "a2"}) == {"state": "busy", "note": "grow is in the furnace"}


def test_what_is_done_is_not_aborted() -> None:
    """Nor is what was never begun."""
    furnace = Furnace(seconds=0)
    furnace.start(REQUEST)

    assert (furnace.abort("a1")["status"], furnace.abort("a2")) == ("COMPLETED", {"state": "unknown"})


def test_the_driver_is_a_program(tmp_path: Path) -> None:
    """It answers with one line, and leaves the spectrum in the folder that it is given."""
    driver = [
        sys.executable,
        "-m",
        "orchestrator.testing.furnace",
        "--state",
        str(tmp_path / "state"),
        "--seconds",
        "0",
    ]
    text = json.dumps({**REQUEST, "folder": str(tmp_path)})
    answer = subprocess.run([*driver, "start"], input=text, capture_output=True, text=True, check=True)

    assert json.loads(answer.stdout)["data"] == {"thickness_nm": measure(SETTINGS, 0).thickness_nm}
    assert (tmp_path / "reflectance.csv").read_bytes() == measure(SETTINGS, 0).spectrum


@pytest.mark.parametrize(("word", "status"), [("--fail", 422), ("--slow=0.01", 200)])
def test_the_instrument_over_http_is_a_program(word: str, status: int) -> None:
    """It prints where it is, does as it is told, and says how often it measured."""
    command = [sys.executable, "-m", "orchestrator.testing.http_instrument", "--port", "0", word]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            told = send("PUT", f"{url}/measurements/a1", REQUEST, timeout_sec=60, cap=10_000)
            counts = send("GET", f"{url}/counts", timeout_sec=60, cap=10_000)
        finally:
            process.kill()

    assert told.status == status
    assert json.loads(counts.body) == ({"a1": 1} if status == 200 else {})
