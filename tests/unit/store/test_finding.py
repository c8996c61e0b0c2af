"""A run is found by what a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.paths import RunPlace
from orchestrator.states import RunState
from orchestrator.store.database import FILE_NAME, create_database
from orchestrator.store.finding import find_run
from orchestrator.store.runs import insert_run

OLD = "20260101_000000_aaaa0000"
NEW = "20260102_000000_aabb0000"


def make_run(workspaces: Path, slug: str, run_id: str, status: RunState = RunState.COMPLETED) -> Path:
    """Leave a run that ended with a status."""
    root = RunPlace(workspaces=workspaces, slug=slug, run_id=run_id).root
    root.mkdir(parents=True)
    database = create_database(root / FILE_NAME)
    with database.transaction():
        insert_run(database, run_id, slug, "recipe.yaml")
        database.write("UPDATE runs SET status = ?", (status.value,))
    database.close()
    return root


@pytest.fixture(name="workspaces")
def _workspaces(tmp_path: Path) -> Path:
    """Give two runs in two workspaces, one of them nested; the older one failed."""
    make_run(tmp_path, "screening", OLD, RunState.FAILED)
    make_run(tmp_path, "demos/screening", NEW)
    return tmp_path


@pytest.mark.parametrize("name", [NEW, "20260102", "@last"])
def test_a_run_is_found(workspaces: Path, name: str) -> None:
    """By its id, the beginning of it, or as the last."""
    assert find_run(name, workspaces).name == NEW


def test_a_run_is_found_at_its_path(workspaces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run directory may have been moved anywhere."""
    monkeypatch.chdir(workspaces)

    assert find_run(f"screening/runs/{OLD}", Path("/elsewhere")) == workspaces / "screening" / "runs" / OLD


def test_a_name_that_means_two_runs_is_refused(workspaces: Path) -> None:
    """Both are named."""
    with pytest.raises(UsageError, match=f"run '2026' is not unique: {NEW}, {OLD}") as caught:
        find_run("2026", workspaces)

    assert caught.value.code == "MS004"


def test_a_run_that_is_not_there_suggests_another(workspaces: Path) -> None:
    """The id that was probably meant."""
    with pytest.raises(UsageError, match="no run '20260102_000000_aabb0001' below") as caught:
        find_run("20260102_000000_aabb0001", workspaces)

    assert caught.value.hint == f"did you mean {NEW!r}?"


@pytest.mark.parametrize("name", ["@last", "x", ""])
def test_without_runs_there_is_none_to_find(tmp_path: Path, name: str) -> None:
    """The hint says how to get one."""
    with pytest.raises(UsageError) as caught:
        find_run(name, tmp_path)

    assert caught.value.hint == "run a recipe first, or give --workspaces-dir"


def test_the_last_run_that_failed_is_found(workspaces: Path) -> None:
    """Newer ones that ended otherwise are passed by; so are those whose state file cannot be read."""
    (make_run(workspaces, "screening", "20260103_000000_00000000") / FILE_NAME).write_bytes(b"")

    assert find_run("@last-failed", workspaces).name == OLD


def test_where_no_run_failed_there_is_none_to_find(tmp_path: Path) -> None:
    """The hint names the other word."""
    make_run(tmp_path, "screening", NEW)

    with pytest.raises(UsageError, match="no run '@last-failed' below") as caught:
        find_run("@last-failed", tmp_path)

    assert (caught.value.code, caught.value.hint) == ("MS004", "no run has failed; '@last' is the newest one")


def test_a_misspelt_word_suggests_the_right_one(workspaces: Path) -> None:
    """As ids do."""
    with pytest.raises(UsageError) as caught:
        find_run("@last-faild", workspaces)

    assert caught.value.hint == "did you mean '@last-failed'?"
