"""Runs stand in nobody else's place, names lead nowhere else, and neither readers nor clocks spoil what is recorded."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.program import Project

WIRING = "operators:\n  hpc.default: { kind: hpc, backend: { type: local } }\n  human.default: { kind: human }\n"
HOSTILE = [
    "../x",
    "/abs",
    "a/b",
    "a_b",
    ".",
    "..",
    "",
    "-rf",
    "CON",
    "con",
    "a\nb",
    "a%2fb",
    "\u00e9",
    "e\u0301",
    "x" * 300,
    "x" * 301,
]
REVIEW = "workspace: lab\nsteps:\n  - { name: review, type: human, instructions: Is it so? }\n"
APPROVE, REJECT = ("respond", "@last", "review", "--approve"), ("respond", "@last", "review", "--reject")

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")


@pytest.fixture(name="lab")
def _lab(project: Project) -> Project:
    """Make a project in which the key hpc.default means this machine."""
    project.write("workspaces/lab/operators.yaml", WIRING)
    return project


def test_C1_no_two_items_share_a_directory(lab: Project) -> None:
    """Whatever their names are, in capitals or not, composed or not; and none lies elsewhere."""
    step = (
        f"name: each, type: shell, run: 'true', stdout: free, operator_key: hpc.default, foreach: {json.dumps(HOSTILE)}"
    )
    lab.write("recipe.yaml", f"workspace: lab\nsteps:\n  - {{ {step} }}\n")

    ended = lab.call("run", "recipe.yaml")

    assert ended.status == 0, ended.stderr
    (run,) = lab.run_folders()
    attempts = [path.parent for path in lab.folder.rglob("exit_code")]
    names = {unicodedata.normalize("NFC", str(path)).casefold() for path in attempts}
    assert len(attempts) == len(names) == len(HOSTILE)
    assert {path.resolve().parent.parent.parent for path in attempts} == {run / "tasks"}


@pytest.mark.parametrize("name", ["../x", ".", "-rf", "x" * 300, "a\nb"])
@pytest.mark.parametrize("words", [("status", "--"), ("loop", "--")])
def test_C1_a_run_is_found_by_its_id_alone(lab: Project, words: tuple[str, ...], name: str) -> None:
    """A name that is none is refused; nothing is made."""
    before = sorted(lab.folder.rglob("*"))

    ended = lab.call(*words, name)

    assert (ended.status, sorted(lab.folder.rglob("*"))) == (2, before)


@pytest.mark.parametrize("name", ["../x", "..", "x" * 300, "review[../x]"])
@pytest.mark.parametrize(
    "words", [("attempts", "@last", "--"), ("logs", "@last", "--"), ("cancel-attempt", "@last", "--")]
)
def test_C1_a_task_or_an_attempt_is_found_by_its_id_alone(lab: Project, words: tuple[str, ...], name: str) -> None:
    """Whichever command names it."""
    lab.write("recipe.yaml", REVIEW)
    lab.call("init", "recipe.yaml")

    assert lab.call(*words, name).status == 2


def opened_run(lab: Project) -> Path:
    """Open a run that asks people, and let it ask; give its directory."""
    lab.write("recipe.yaml", REVIEW)
    assert lab.call("init", "recipe.yaml").status == 0
    assert lab.call("step", "@last").status == 5
    return lab.run_folders()[-1]


@needs_root
def test_C7_a_run_of_somebody_else_is_not_driven(lab: Project) -> None:
    """They could have put there which programs run; it can be read, and a copy can be driven."""
    run = opened_run(lab)
    os.chown(run, 12345, 12345)

    refused = lab.call("loop", "@last")

    assert (refused.status, "belongs to somebody else" in refused.stderr) == (6, True)
    assert lab.call("status", "@last").status == 0
    shutil.copytree(run, run.with_name("20300101_000000_0123abcd"))
    assert lab.call("step", "20300101").status == 5


@pytest.mark.parametrize("which", [".", ".."])
def test_C7_a_run_that_everybody_may_change_is_not_driven(lab: Project, which: str) -> None:
    """Nor one that everybody may take away and put another in its place."""
    run = opened_run(lab)
    (run / which).resolve().chmod(0o777)

    assert lab.call("step", "@last").status == 6


def attempt_folder(run: Path) -> Path:
    """Give the directory of the last attempt at the question."""
    return max((run / "tasks" / "review" / "attempts").glob("[!.]*"), key=lambda path: path.stat().st_mtime_ns)


def test_H2_an_approval_of_another_attempt_is_none(lab: Project) -> None:
    """Also one of another run: an answer names the attempt that it is for."""
    former = opened_run(lab)
    assert lab.call(*APPROVE).status == 0
    run = opened_run(lab)
    shutil.copy(attempt_folder(former) / "response.json", attempt_folder(run))

    replayed = lab.call("step", run.name)

    assert (replayed.status, lab.call("attempts", run.name, "review").table[0]["status"]) == (5, "WAITING_EXTERNAL")


def test_H2_the_first_decision_counts(lab: Project) -> None:
    """Another one is refused, and changes nothing."""
    run = opened_run(lab)
    assert lab.call(*APPROVE).status == 0
    before = (attempt_folder(run) / "response.json").read_bytes()

    assert lab.call(*REJECT).status == 2
    assert (attempt_folder(run) / "response.json").read_bytes() == before
    assert lab.call("loop", "@last").status == 0


def test_H2_an_approval_after_a_cancel_is_none(lab: Project) -> None:
    """What was withdrawn is not answered."""
    opened_run(lab)
    lab.call("cancel", "@last")
    lab.call("loop", "@last")

    assert lab.call(*APPROVE).status == 2
    assert lab.call("status", "@last", "--json").answer["status"] == "CANCELLED"


def test_F28_a_reader_holds_nobody_up(lab: Project) -> None:
    """However long it looks; what it sees is that of its begin."""
    run = opened_run(lab)
    assert lab.call(*APPROVE).status == 0
    with closing(sqlite3.connect(run / "state.sqlite")) as reader:
        reader.execute("BEGIN")
        (before,) = reader.execute("SELECT count(*) FROM events").fetchone()

        ended = lab.call("loop", "@last")

        assert (ended.status, reader.execute("SELECT count(*) FROM events").fetchone()) == (0, (before,))
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM events").fetchone() > (before,)
