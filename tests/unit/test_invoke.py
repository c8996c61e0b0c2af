"""Core scriptlets are run by their names, as the table of the lifecycle lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InfrastructureError, ScriptletError
from orchestrator.invoke import call_core, core_scriptlet, happen
from orchestrator.lifecycle import lifecycle_table
from orchestrator.states import RunState, TaskState
from orchestrator.store.database import close_opened, opened
from orchestrator.store.queries import read_run, read_tasks

RUN_ID = "20260102_030405_0a1b2c3d"
CORE = Path(__file__).resolve().parents[2] / "scriptlets" / "core"


@pytest.fixture(name="run_root")
def _run_root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / RUN_ID
    close_opened(tmp_path / RUN_ID)


def opening(run_root: Path) -> dict[str, Any]:
    """Say what a run of one task begins with."""
    return {
        "run_root": str(run_root),
        "workspace_slug": "screening",
        "recipe_name": "recipe.yaml",
        "recipe_text": "steps: []\n",
        "inputs": {"argv": ["run"]},
        "context": {"given.x_v1": 1},
        "tasks": [{"task_id": "load", "step": "load", "definition_sha256": "0" * 64}],
    }


def test_every_happening_has_its_scriptlets() -> None:
    """Each name in the table is a scriptlet that can be loaded."""
    names = [name for listed in lifecycle_table().values() for name in listed]

    assert [core_scriptlet(name).name for name in names] == names


def test_every_core_scriptlet_is_in_the_table() -> None:
    """None is left that nothing calls."""
    listed = {name for names in lifecycle_table().values() for name in names}

    assert {path.stem for path in CORE.glob("[a-z]*.py")} == listed


def test_a_core_scriptlet_is_made_once() -> None:
    """A call costs no import."""
    assert core_scriptlet("open_run") is core_scriptlet("open_run")


@pytest.mark.parametrize("name", ["no_such", "", "lifecycle"])
def test_another_name_is_refused(name: str) -> None:
    """The hint names the table."""
    with pytest.raises(ScriptletError, match=f"no core scriptlet {name!r}") as caught:
        call_core(name, {})

    assert caught.value.hint == "check scriptlets/core/lifecycle.yaml"


def test_a_run_is_opened_whole(run_root: Path) -> None:
    """Recipe, state and tasks are there, and the outputs name the run."""
    outputs = happen("run.new", opening(run_root))

    assert outputs == {"_run.opened_v1": {"run_id": RUN_ID, "run_root": str(run_root)}}
    assert (run_root / "recipe.yaml").read_text() == "steps: []\n"
    assert [task.task_id for task in read_tasks(opened(run_root))] == ["load"]


def test_a_run_is_never_opened_over_another(run_root: Path) -> None:
    """The directory stays as it is."""
    run_root.mkdir()

    with pytest.raises(ValueError, match="exists already"):
        happen("run.new", opening(run_root))

    assert list(run_root.iterdir()) == []


def test_a_run_that_cannot_be_opened_leaves_nothing(run_root: Path) -> None:
    """Two tasks of one name break a rule of the store, after the files were written."""
    params = opening(run_root)
    params["tasks"] *= 2

    with pytest.raises(InfrastructureError, match="UNIQUE constraint failed"):
        happen("run.new", params)

    assert list(run_root.parent.iterdir()) == []


def test_an_attempt_goes_from_ready_to_exited(run_root: Path) -> None:
    """By the same params that a person could give by hand."""
    happen("run.new", opening(run_root))
    asked = {"task_id": "load", "params": {"src": "x"}, "operator_key": "local.default"}
    ready = happen("task.ready", {"run_root": str(run_root), **asked})
    attempt_id = ready["_attempt.opened_v1"]["attempt_id"]

    ended = happen(
        "attempt.exited",
        {
            "run_root": str(run_root),
            "task_id": "load",
            "attempt_id": attempt_id,
            "status": "COMPLETED",
            "task_status": "COMPLETED",
            "writes": [["load.rows_v1", "3", "load"]],
        },
    )

    assert ended == {"_attempt.closed_v1": {"attempt_id": attempt_id, "seq": 3}}
    assert read_tasks(opened(run_root))[0].status is TaskState.COMPLETED


def test_a_settled_run_leaves_its_context_as_a_file(run_root: Path) -> None:
    """Sorted and indented, for people and tools."""
    happen("run.new", opening(run_root))
    happen("run.settled", {"run_root": str(run_root), "status": "RUNNING"})

    happen("run.settled", {"run_root": str(run_root), "status": "FAILED", "reason": "load: no rows"})

    run = read_run(opened(run_root))
    assert (run.status, run.status_reason) == (RunState.FAILED, "load: no rows")
    assert json.loads((run_root / "context.json").read_text()) == {"given.x_v1": 1}
