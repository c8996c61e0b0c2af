"""The page of instruments tells the protocol as the program keeps it, and its examples give what they show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.operators.asking import Question
from orchestrator.operators.instruments import results
from orchestrator.operators.instruments.measurement import Request
from orchestrator.operators.notify import notification
from orchestrator.sources import Source
from orchestrator.wiring.reading import read_wiring
from tests.docs.documents import REFERENCE, blocks, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "instruments.md"


def table(heading: str) -> dict[str, str]:
    """Give the keys that the tables under a heading explain."""
    return {key: meaning for cell, meaning in rows(section(PAGE, heading)) for key in cell.split("` `")}


def test_keys_and_states_are_those_of_the_program() -> None:
    """Nothing more is read, and nothing less."""
    said = table("## By a driver program").keys() | results._IDENTITY

    assert said == results._ANSWER_KEYS | results._RESULT_KEYS | {*results._STATES}
    assert table("## What all have in common").keys() >= results._RESULT_KEYS


def test_a_request_has_the_keys_that_are_told(tmp_path: Path) -> None:
    """In the page's own example too."""
    (shown,) = [json.loads(block.text) for block in blocks(PAGE) if block.language == "json" and not block.file]
    request = Request(token=shown["token"], task_id="t", folder=tmp_path)

    assert request.document().keys() == shown.keys() <= table("## What all have in common").keys()


@pytest.mark.parametrize("text", [block.text for block in blocks(PAGE) if block.language == "yaml"])
def test_a_wiring_is_one(text: str) -> None:
    """What the page shows is read."""
    assert list(read_wiring(Source.from_text("operators.yaml", text)).operators)


def test_examples_give_what_they_show(checkout: Path) -> None:
    """The driver is called by hand, and as a runner calls it."""
    follow(checkout, PAGE)


def test_what_people_are_told_is_explained(tmp_path: Path) -> None:
    """On the page of operators."""
    question = Question(folder=tmp_path, task_id="t", attempt_id="a", instructions="?")
    listed = rows(section(REFERENCE / "operators.md", "## How people are told"))

    told = {key for cell, _ in listed for key in cell.split("` `")}
    assert told == notification(question, "r").keys()
