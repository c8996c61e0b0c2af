"""A state file that cannot be trusted is refused and left byte for byte as it was; a whole one is always taken up."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.kills import kill, prepare, trace
from tests.acceptance.program import Project
from tests.acceptance.remains import run_faults, see

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

PAGE = 4096
HEADER = 100


@pytest.fixture(name="kept", scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kill a run half-way, once for all tests, and keep a copy beside it."""
    folder = tmp_path_factory.mktemp("killed")
    syncs = [point for point in trace(prepare(folder / "traced")) if point.call == "fdatasync"]
    kill(prepare(folder / "project"), syncs[len(syncs) * 3 // 4])
    return shutil.copytree(folder / "project", folder / "kept")


@pytest.fixture(name="killed")
def _killed(kept: Path) -> Project:
    """Put the killed run back where it was: a run goes on in the directory in which it was started."""
    folder = kept.with_name("project")
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    return Project(folder=folder)


@pytest.fixture(name="settled")
def _settled(killed: Project) -> Project:
    """Merge the log of the killed run into its state file, so that one file holds all."""
    set_pragma(state_of(killed), "journal_mode = DELETE")
    return killed


def state_of(project: Project) -> Path:
    """Give the state file of the one run."""
    (run_folder,) = project.run_folders()
    return run_folder / "state.sqlite"


def empty(path: Path) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def cut_in_header(path: Path) -> None:
    """Leave less than a header."""
    path.write_bytes(path.read_bytes()[:50])


def garble_header(path: Path) -> None:
    """Spoil the first bytes."""
    path.write_bytes(b"not a database at all" + path.read_bytes()[21:])


def make_newer(path: Path) -> None:
    """Pretend that a later program wrote it."""
    set_pragma(path, "user_version = 99")


def make_foreign(path: Path) -> None:
    """Pretend that another program wrote it."""
    set_pragma(path, "application_id = 7")


def set_pragma(path: Path, pragma: str) -> None:
    """Change the header by SQLite itself."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (empty, "error[MS501]: the state file is empty"),
    "cut in its header": (cut_in_header, "error[MS501]: not a state file, its header is damaged"),
    "garbled": (garble_header, "error[MS501]: not a state file, its header is damaged"),
    "newer": (make_newer, "has schema 99; this program knows up to "),
    "of another program": (make_foreign, "error[MS501]: not a state file of this program"),
}

TAMPERING = {
    "payload": "UPDATE events SET payload_json = '{}' WHERE seq = 2",
    "time": "UPDATE events SET at_utc = '2020-01-01T00:00:00.000000Z' WHERE seq = 2",
    "removal": "DELETE FROM events WHERE seq = 2",
    "hash": "UPDATE events SET hash = prev_hash WHERE seq = 2",
}


@pytest.mark.parametrize("command", ["resume", "status"])
@pytest.mark.parametrize(("spoil", "complaint"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_state_file_is_refused(
    settled: Project, spoil: Callable[[Path], None], complaint: str, command: str
) -> None:
    """It is neither made anew nor mended, and the message says what to do."""
    spoil(state_of(settled))
    before = state_of(settled).read_bytes()

    ended = settled.call(command)

    assert ended.status == 6
    assert complaint in ended.stderr
    assert "= help: " in ended.stderr
    assert state_of(settled).read_bytes() == before
    assert len(settled.run_folders()) == 1


def test_a_list_of_runs_shows_the_others(settled: Project) -> None:
    """One unreadable run does not hide the rest."""
    empty(state_of(settled))
    settled.call("run", "recipe.yaml", "--new", "--workspace", "other")

    listed = settled.call("runs")

    assert listed.status == 0
    assert sorted(row["status"].split(":")[0] for row in listed.table) == ["COMPLETED", "unreadable"]


@pytest.mark.parametrize("seed", range(12))
def test_a_garbled_page_is_refused_or_does_no_harm(settled: Project, seed: int) -> None:
    """Noise in any page behind the first ends in a refusal that leaves the file alone, or in a whole run."""
    path, noise = state_of(settled), random.Random(seed)  # noqa: S311  not for secrets
    content = path.read_bytes()
    start = noise.randrange(1, len(content) // PAGE) * PAGE
    spoiled = content[:start] + noise.randbytes(PAGE) + content[start + PAGE :]
    path.write_bytes(spoiled)

    ended = settled.call("resume")

    assert ended.status in {0, 6}, ended.stderr
    assert ended.status == 0 or path.read_bytes() == spoiled
    assert ended.status == 6 or not list(run_faults(settled, see(settled, "")))


@pytest.mark.parametrize("seed", range(6))
def test_a_file_without_its_end_is_refused(settled: Project, seed: int) -> None:
    """A state file that was cut anywhere behind its header is refused and left alone."""
    path = state_of(settled)
    cut = path.read_bytes()[: random.Random(seed).randrange(HEADER, path.stat().st_size - PAGE)]  # noqa: S311  as above
    path.write_bytes(cut)

    ended = settled.call("resume")

    assert ended.status == 6
    assert "error[MS501]" in ended.stderr
    assert path.read_bytes() == cut


def test_a_hot_journal_is_rolled_back(settled: Project) -> None:
    """A transaction that another writer had half written when it died is undone before the run goes on."""
    path, hot = state_of(settled), settled.folder / "hot"
    hot.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE tasks SET status = 'COMPLETED'")
        connection.execute("INSERT INTO schema_info VALUES ('filler', ?)", ("x" * 100 * PAGE,))
        for name in (path.name, f"{path.name}-journal"):
            shutil.copy(path.with_name(name), hot)
    for file in hot.iterdir():
        shutil.copy(file, path.parent)

    ended = settled.call("resume")

    assert ended.status == 0, ended.stderr
    assert list(run_faults(settled, see(settled, ""))) == []


def test_a_run_goes_on_without_its_log(killed: Project) -> None:
    """Whoever deletes the write-ahead log of a killed run loses what it held; what is left is whole and goes on."""
    for path in state_of(killed).parent.glob("state.sqlite-*"):
        path.unlink()

    ended = killed.call("resume")

    assert ended.status == 0, ended.stderr
    assert "state.sqlite-wal" in ended.stderr
    records = see(killed, "").records
    assert records is not None
    assert (records.status, records.damage) == ("COMPLETED", "")


@pytest.mark.parametrize("change", TAMPERING.values(), ids=TAMPERING)
def test_a_changed_history_is_refused(settled: Project, change: str) -> None:
    """An event that was changed or removed by another program is noticed before the run goes on."""
    with closing(sqlite3.connect(state_of(settled))) as connection:
        connection.execute(change)
        connection.commit()

    ended = settled.call("resume")

    assert ended.status == 6
    assert "error[MS501]" in ended.stderr
    assert "was changed from outside: event " in ended.stderr
