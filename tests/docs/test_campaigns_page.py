"""The page of campaigns names all that one is written with, and its examples give what they show."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

from orchestrator import Campaign, ExternalTask, GateTask, Task, TaskResult, initialize_run
from orchestrator.campaign_source import MODES
from tests.docs.documents import REFERENCE, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "campaigns.md"


def listed(heading: str) -> list[str]:
    """Give what the tables under a heading explain, without parameters."""
    cells = [cell for cell, _ in rows(section(PAGE, heading))]
    return [name.partition("(")[0] for cell in cells for name in cell.split("` `")]


def names(kind: type) -> set[str]:
    """Give the fields of a dataclass."""
    return {field.name for field in dataclasses.fields(kind)}


def test_tasks_and_results_are_explained() -> None:
    """Every field, and no other."""
    assert set(listed("## Tasks")) == names(Task) | names(TaskResult)
    assert names(GateTask) - names(Task) == {"message"}
    assert names(ExternalTask) - names(Task) == {"request_data"}


def test_a_campaign_has_what_is_explained() -> None:
    """All that may be written, in that order."""
    assert listed("## A campaign") == [name for name in vars(Campaign) if not name.startswith("_")]


def test_settings_and_parameters_are_named() -> None:
    """The modes of a workspace, and what a program may say."""
    text = PAGE.read_text(encoding="utf-8")

    assert [mode for mode in MODES if f"`{mode}`" not in text] == []
    assert [name for name in inspect.signature(initialize_run).parameters if name not in text] == []


def test_examples_give_what_they_show(checkout: Path) -> None:
    """In a terminal, in order."""
    follow(checkout, PAGE)
