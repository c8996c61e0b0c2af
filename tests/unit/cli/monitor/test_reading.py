"""What of a run is read for the view, how much of it, and when."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli.monitor.reading import Choice, RunReader, RunsReader, window
from orchestrator.errors import StoreError
from orchestrator.store.database import FILE_NAME, open_database
from orchestrator.store.glances import Order
from tests.legacy import count_tasks_of, put_run
from tests.unit.workshop import Workshop, python, recipe, shell

FAN = recipe(
    python("each", keys="foreach: [1, 2, 3], allow_failure: true, args: {n.x_v1: '${{ 1 / (item - 2) }}'}"),
    python("after", "Fail"),
)
ASKING = recipe(python("a"), "{name: gate, type: human, instructions: 'Is it so?'}", python("b"))


def names(reader: RunReader, choice: Choice) -> list[str]:
    """Give the tasks that are shown."""
    return [row.task_id for row in reader.look(choice).rows]


def test_loud_tasks_stand_first(workshop: Workshop) -> None:
    """Of items, those are shown that failed; all of them when they are asked for, and in the order of the plan."""
    reader = RunReader(workshop.run(FAN, fail_fast=False).root)

    assert names(reader, Choice()) == ["after", "each[2]", "each"]
    assert names(reader, Choice(order=Order.PLANNED, with_items=True)) == [
        "each",
        "after",
        "each[1]",
        "each[2]",
        "each[3]",
    ]


def test_only_the_tasks_in_the_window_are_read(workshop: Workshop) -> None:
    """The chosen one is among them, and is found wherever it has moved."""
    reader = RunReader(workshop.run(FAN, fail_fast=False).root)
    every = Choice(order=Order.PLANNED, with_items=True, height=2)

    last = reader.look(replace(every, index=99))
    same = reader.look(replace(every, position=last.choice.position, order=Order.LOUD_FIRST))

    assert [row.task_id for row in last.rows] == ["each[2]", "each[3]"]
    assert last.selected == same.selected
    assert len(last.positions) == 5


def test_an_open_question_is_part_of_the_frontier(workshop: Workshop) -> None:
    """With what is asked, what waits for it, and how the run goes on."""
    ran = workshop.run(ASKING, once=True)

    glance = RunReader(ran.root).look(Choice())

    assert glance.findings == (
        "gate asks: Is it so? (a approves, x rejects)",
        "1 task: waits for its turn",
        f"= go on with: matterstack resume {ran.root.name}",
    )
    assert [(line.key, line.waiting) for line in glance.operators if line.waiting] == [("human.default", 1)]


def test_failures_that_are_allowed_are_told_apart(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `explain` does: nobody has to mend them. What is looked at stays where it was."""
    steps = [shell(name, "exit 3", "allow_failure: true") for name in ("a", "b")]
    ran = workshop.run(recipe(*steps, shell("bad", "exit 5")))
    monkeypatch.chdir(workshop.folder.parent)

    glance = RunReader(ran.root).look(Choice())

    assert glance.findings[:2] == (
        "bad failed: the exit code is 5, not 0",
        "2 tasks failed, as allow_failure allows: a, b",
    )
    assert Path.cwd() == workshop.folder.parent


def test_the_log_is_that_of_the_chosen_task(workshop: Workshop) -> None:
    """Of its latest attempt."""
    loud = shell("a", "echo one >&2; echo two >&2", "stdout: free")
    reader = RunReader(workshop.run(recipe(loud), inline=False).root)

    assert reader.look(Choice()).log == ("one", "two")


def test_what_has_not_changed_is_not_read_again(workshop: Workshop) -> None:
    """What has changed is, at the next look."""
    root = workshop.run(recipe(python("a"))).root
    reader = RunReader(root)
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        if (root / name).exists():
            _age(root / name)

    first, again = reader.look(Choice()), reader.look(Choice())
    database = open_database(root / FILE_NAME)
    with database.transaction():
        database.write("UPDATE tasks SET status_reason = 'changed'")
    database.close()

    assert first.rows is again.rows
    assert reader.look(Choice()).rows[0].status_reason == "changed"


def test_a_run_that_is_gone_is_told(workshop: Workshop) -> None:
    """As what it is."""
    root = workshop.run(recipe(python("a"))).root
    reader = RunReader(root)
    reader.look(Choice())
    (root / FILE_NAME).rename(root / "elsewhere")

    with pytest.raises(StoreError):
        reader.look(Choice())


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_runs_of_older_versions_are_shown(tmp_path: Path, version: int) -> None:
    """As they are, without making them ours."""
    root = put_run(tmp_path / "workspaces" / "w" / "runs", version)
    before = (root / FILE_NAME).read_bytes()

    glance = RunReader(root).look(Choice(with_items=True))
    (line,) = RunsReader(tmp_path / "workspaces").look()

    assert line.run == glance.run
    assert (root / FILE_NAME).read_bytes() == before
    assert len(glance.positions) == count_tasks_of(root)


def test_active_runs_stand_first(workshop: Workshop) -> None:
    """Then the newest; one that cannot be read is listed with the reason."""
    stopped = workshop.run(recipe(python("a"), python("b", "Interrupt")))
    done = workshop.run(recipe(python("a")), fresh=True)
    damaged = workshop.run(recipe(python("a")), fresh=True)
    (damaged.root / FILE_NAME).write_bytes(b"")

    lines = RunsReader(workshop.folder / "workspaces").look()

    assert lines[0].root == stopped.root
    assert {line.root for line in lines[1:]} == {done.root, damaged.root}
    assert [line.fault.partition(":")[0] for line in lines if line.fault] == ["the state file is empty"]


def test_runs_are_read_a_few_at_a_time(workshop: Workshop) -> None:
    """A look that has lasted long enough leaves the rest for the next ones."""
    for _ in range(2):
        workshop.run(recipe(python("a")), fresh=True)
    times = iter([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    reader = RunsReader(workshop.folder / "workspaces", clock=lambda: next(times))

    first, was_whole = reader.look(), reader.is_whole

    assert [line.run is None for line in first] == [False, True] or [line.run is None for line in first] == [
        True,
        False,
    ]
    assert was_whole is False
    reader.look()
    assert reader.is_whole


@pytest.mark.parametrize(
    ("first", "index", "expected"), [(0, 0, 0), (0, 4, 0), (0, 5, 1), (8, 3, 3), (8, 19, 15), (18, 19, 15)]
)
def test_the_window_follows_what_is_chosen(first: int, index: int, expected: int) -> None:
    """And moves no further than it must."""
    assert window(first, 5, index, 20) == expected


def _age(path: Path) -> None:
    """Let a file seem to have rested for a while."""
    before = path.stat().st_mtime_ns - 10**9
    os.utime(path, ns=(before, before))
