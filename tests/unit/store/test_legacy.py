"""State files of MatterStack 0.2.x become ours: nothing of them is dropped, and a copy of them is kept."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from orchestrator.errors import RunLockedError, StoreError
from orchestrator.files import TEMPORARY
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.audit import history_fault
from orchestrator.store.database import (
    APPLICATION_ID,
    Database,
    create_database,
    open_database,
    reading,
    schema_version,
    update_legacy,
)
from orchestrator.store.events import iterate_events
from orchestrator.store.queries import has_recipe, read_attempts, read_inputs, read_open_attempts, read_run, read_tasks
from orchestrator.store.runs import reset_tasks, set_run_state
from tests.legacy import KEPT, change, looking, put_run, rows_of
from tests.unit.machine import file_size_limit

versions = pytest.mark.parametrize("version", [1, 2, 3, 4])


@pytest.fixture(name="path")
def _path(tmp_path: Path, version: int) -> Path:
    """Give the state file of a run that a program of that version made."""
    return put_run(tmp_path, version) / "state.sqlite"


@pytest.fixture(name="ours")
def _ours(path: Path) -> Database:
    """Give the same file, opened."""
    return open_database(path)


def pragmas(path: Path) -> tuple[int, int]:
    """Give the marks by which a file is known."""
    with looking(path) as connection:
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))


def tables(path: Path) -> dict[str, str]:
    """Give the statements by which the tables of a file were made."""
    with looking(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')"))


@versions
def test_it_is_ours_afterwards(path: Path, ours: Database) -> None:
    """Its mark and version are those of a file that was made today, and so are our tables in it."""
    ours.close()
    fresh = path.with_name("fresh.sqlite")
    create_database(fresh).close()

    assert pragmas(path) == (APPLICATION_ID, schema_version())
    assert {name: sql for name, sql in tables(path).items() if not name.startswith("legacy_")} == tables(fresh)


@versions
def test_a_copy_of_it_is_kept(tmp_path: Path, version: int) -> None:
    """It holds the same rows under the same names."""
    path = put_run(tmp_path, version) / "state.sqlite"
    before = rows_of(path)

    open_database(path).close()

    backup = path.with_name(f"state.sqlite.v{version}.bak")
    assert rows_of(backup) == before
    assert pragmas(backup) == (0, 0)


@versions
def test_every_row_of_it_stays(tmp_path: Path, version: int) -> None:
    """Its own tables are in the file under other names, as they were."""
    path = put_run(tmp_path, version) / "state.sqlite"
    before = rows_of(path)

    open_database(path).close()

    after = rows_of(path, prefix="legacy_")
    assert {table: after[table] for table in before} == before
    assert set(after) == set(KEPT)


@versions
def test_its_tasks_stand_where_its_evidence_said(ours: Database) -> None:
    """Also where the task's own row was never brought up to date, as for one that was allowed to fail."""
    assert [(row.task_id, row.status, row.attempt_count) for row in read_tasks(ours)] == [
        ("relax_cu", "COMPLETED", 1),
        ("relax_ni", "FAILED", 1),
        ("review", "COMPLETED", 1),
        ("report", "COMPLETED", 1),
    ]
    assert read_run(ours).status is RunState.COMPLETED
    ours.close()


@versions
def test_attempts_have_their_operator_key(ours: Database) -> None:
    """Those of versions that kept none are routed as their operator's type says."""
    keys = [read_attempts(ours, name)[0].operator_key for name in ("relax_cu", "relax_ni", "review")]

    assert keys == ["hpc.default", "hpc.default", "human.default"]
    ours.close()


@pytest.mark.parametrize(
    ("version", "operator_data", "key"),
    [
        (1, '{"operator_key": "hpc.big"}', "hpc.big"),
        (1, "{}", "hpc.default"),
        (1, "not JSON", "hpc.default"),
        (3, '{"operator_key": "hpc.big"}', "hpc.default"),
    ],
)
def test_the_key_of_an_attempt_is_that_by_which_it_was_routed(path: Path, operator_data: str, key: str) -> None:
    """The column comes first, then what the operator noted, then its type."""
    table = "external_runs" if path.parent.name.startswith("20261120_115630") else "task_attempts"
    change(path, f"UPDATE {table} SET operator_data = '{operator_data}' WHERE task_id = 'relax_cu'")  # noqa: S608

    with reading(path.parent) as database:
        assert read_attempts(database, "relax_cu")[0].operator_key == key


@pytest.mark.parametrize("version", [1])
def test_an_operator_of_no_known_type_gives_no_key(path: Path) -> None:
    """Nothing is made up."""
    change(path, "UPDATE external_runs SET operator_type = 'Robot'")

    with reading(path.parent) as database:
        assert read_attempts(database, "relax_cu")[0].operator_key is None


@pytest.mark.parametrize("version", [3])
def test_times_are_in_utc(ours: Database) -> None:
    """They were so before, without saying it; how long an attempt took follows from them."""
    (attempt,) = read_attempts(ours, "relax_cu")

    assert attempt.created_at == "2026-11-20T11:55:51.226173Z"
    assert attempt.ended_at == "2026-11-20T11:55:51.959107Z"
    assert attempt.duration_sec == 0.722
    assert attempt.operator_data["output_data"] == {"job_id": "relax_cu"}
    ours.close()


@pytest.mark.parametrize("version", [1])
def test_an_attempt_whose_end_was_not_timed_has_ended_all_the_same(ours: Database) -> None:
    """Nobody asks what became of it; how long it took is not known."""
    (attempt,) = read_attempts(ours, "relax_cu")

    assert read_open_attempts(ours) == ()
    assert (attempt.ended_at, attempt.duration_sec) == ("2026-11-20T11:56:30.830157Z", None)
    ours.close()


@pytest.mark.parametrize("version", [3])
def test_an_attempt_that_had_not_ended_is_open(path: Path) -> None:
    """In a run that goes on, everything stands where it stood."""
    change(path, "UPDATE runs SET status = 'RUNNING'; UPDATE tasks SET status = 'RUNNING' WHERE task_id = 'report'")
    change(path, "UPDATE task_attempts SET status = 'SUBMITTED', ended_at = NULL WHERE task_id = 'report'")

    with reading(path.parent) as database:
        assert [row.status for row in read_tasks(database)] == ["COMPLETED", "PENDING", "COMPLETED", "RUNNING"]
        assert [(row.task_id, row.status) for row in read_open_attempts(database)] == [("report", "SUBMITTED")]


@pytest.mark.parametrize("version", [4])
def test_a_state_that_nobody_knows_is_not_taken_for_one_that_is_known(path: Path) -> None:
    """What is not known may still run."""
    change(path, "UPDATE task_attempts SET status = 'EVAPORATED'; UPDATE tasks SET status = 'DUE'")

    with reading(path.parent) as database:
        assert {attempt.status for row in read_tasks(database) for attempt in read_attempts(database, row.task_id)} == {
            "UNKNOWN"
        }
        assert {row.status for row in read_tasks(database)} == {"PENDING"}


@pytest.mark.parametrize("version", [3])
@pytest.mark.parametrize(
    ("column", "value", "read"),
    [
        ("operator_data", "[1, 2]", {"recorded": [1, 2]}),
        ("operator_data", "7", {"recorded": 7}),
        ("operator_data", "null", {}),
        ("operator_data", "{torn", {"recorded": "{torn"}),
        ("created_at", "yesterday", "yesterday"),
        ("created_at", "2026-11-20 12:00:00+01:00", "2026-11-20T11:00:00.000000Z"),
        ("created_at", "0001-01-01 00:00:00+10:00", "0001-01-01 00:00:00+10:00"),
    ],
)
def test_values_of_another_form_are_kept(path: Path, column: str, value: str, read: object) -> None:
    """None of them keeps a run from being opened."""
    change(path, f"UPDATE task_attempts SET {column} = '{value}'")  # noqa: S608

    with reading(path.parent) as database:
        (attempt,) = read_attempts(database, "relax_cu")

    assert getattr(attempt, column) == read


@pytest.mark.parametrize("version", [3])
def test_attempts_at_a_task_that_was_deleted_are_kept(path: Path) -> None:
    """A task that says so stands for it."""
    change(path, "DELETE FROM tasks WHERE task_id = 'relax_ni'")

    with reading(path.parent) as database:
        assert read_tasks(database)[-1].status_reason == "the task was deleted, its attempts were not"
        assert [attempt.status for attempt in read_attempts(database, "relax_ni")] == ["FAILED"]


@versions
def test_the_history_begins_with_where_the_run_comes_from(version: int, ours: Database) -> None:
    """The first event vouches for all rows, and for those of the tables that they were made from."""
    (event,) = iterate_events(ours)

    payload = json.loads(event.payload_json)
    assert (event.kind, payload["from_version"]) == ("run.migrated", version)
    assert {table: kept["rows"] for table, kept in payload["tables"].items()} == {
        "legacy_runs": 1,
        "legacy_tasks": 4,
        "legacy_task_attempts": 4,
        "legacy_external_runs": 4 if version < 3 else 0,
    }
    assert history_fault(ours) == ""
    ours.close()


@pytest.mark.parametrize("version", [3])
@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE runs SET status = 'FAILED'", "is FAILED, and its events say COMPLETED"),
        ("UPDATE tasks SET status = 'COMPLETED' WHERE position = 1", "'relax_ni' is COMPLETED"),
        ("UPDATE task_attempts SET status = 'COMPLETED'", "differs from what its events say"),
    ],
)
def test_a_row_that_was_changed_afterwards_is_found(ours: Database, sql: str, fault: str) -> None:
    """As in a run that was ours from the beginning."""
    with ours.transaction():
        ours.write(sql)

    assert fault in history_fault(ours)
    ours.close()


@versions
def test_its_history_goes_on(ours: Database) -> None:
    """What happens next follows the first event in the chain."""
    with ours.transaction():
        set_run_state(ours, RunState.PENDING, "revived")

    assert history_fault(ours) == ""
    ours.close()


@versions
def test_a_task_of_it_can_be_attempted_again(ours: Database) -> None:
    """What was attempted before is kept, and counts on."""
    with ours.transaction():
        reset_tasks(ours, ["relax_ni"], [], "rerun relax_ni")
        attempt_id, index = open_attempt(ours, "relax_ni", {}, "hpc.default")
        ended = AttemptResult(status=AttemptState.COMPLETED, task_status=TaskState.COMPLETED)
        close_attempt(ours, "relax_ni", attempt_id, ended)

    assert index == 2
    assert [attempt.status for attempt in read_attempts(ours, "relax_ni")] == ["FAILED", "COMPLETED"]
    assert history_fault(ours) == ""
    ours.close()


@pytest.mark.parametrize("version", [1])
def test_what_a_run_was_made_with_is_kept(ours: Database) -> None:
    """There is no recipe among it."""
    assert read_inputs(ours)["legacy"] == {
        "version": 1,
        "root_path": "workspaces/legacy_demo/runs/20261120_115630_9b166b82",
        "tags": {},
        "description": None,
    }
    assert not has_recipe(ours)
    ours.close()


@versions
def test_to_read_it_is_not_to_change_it(path: Path) -> None:
    """What is read is a copy in memory."""
    before = path.read_bytes()

    with reading(path.parent) as database:
        assert len(read_tasks(database)) == 4

    assert path.read_bytes() == before
    assert not list(path.parent.glob("state.sqlite?*"))


@versions
def test_it_can_be_opened_again(path: Path, ours: Database) -> None:
    """As one of ours, with no other copy."""
    ours.close()

    with reading(path.parent) as database:
        assert len(read_tasks(database)) == 4
    assert len(list(path.parent.glob("*.bak"))) == 1


@versions
def test_a_half_way_migration_of_the_earlier_program_is_taken_on(path: Path, version: int) -> None:
    """A crash could leave it with a column more than its version tells."""
    for column in ("tasks.current_attempt_id", "tasks.operator_key", "task_attempts.operator_key"):
        table, _, name = column.partition(".")
        with looking(path) as connection:
            present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if present and name not in present:
            change(path, f"ALTER TABLE {table} ADD COLUMN {name} VARCHAR")

    with reading(path.parent) as database:
        assert len(read_tasks(database)) == 4
        assert read_attempts(database, "review")[0].operator_key == "human.default"


@versions
def test_another_process_may_make_it_ours_while_its_version_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is the file as it was, or as it is then, and never a part of each."""
    quicker = threading.Thread(target=update_legacy, args=(path.parent,))

    def look(_cursor: object, sql: str, _values: object) -> bool:
        if "FROM schema_info" in sql and quicker.ident is None:
            quicker.start()
            quicker.join(2.0)  # it has to wait for whoever reads; where it need not, this is more than it takes
        return True

    monkeypatch.setattr(apsw, "connection_hooks", [lambda connection: setattr(connection, "exec_trace", look)])
    with reading(path.parent) as database:
        assert len(read_tasks(database)) == 4
    quicker.join()

    with reading(path.parent) as database:
        assert history_fault(database) == ""


@pytest.mark.parametrize("version", [1])
def test_a_run_that_the_earlier_program_drives_is_left_to_it(path: Path) -> None:
    """Its runner holds the same lock; the run can be read all the same."""
    before = path.read_bytes()
    with path.with_name("run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        update_legacy(path.parent)
        with pytest.raises(RunLockedError, match="is driven by another runner"):
            open_database(path)

    assert path.read_bytes() == before


@versions
@pytest.mark.parametrize("limit", [10_000, 80_000])
def test_on_a_full_disk_it_is_read_as_it_is(path: Path, limit: int) -> None:
    """Where there is no room for the copy, or for our tables; freed space is used."""
    before = rows_of(path)
    with file_size_limit(limit):
        update_legacy(path.parent)
        with reading(path.parent) as database:
            assert len(read_tasks(database)) == 4
    update_legacy(path.parent)

    assert rows_of(path, prefix="legacy_")["external_runs"] == before["external_runs"]
    assert not list(path.parent.glob(f"{TEMPORARY}*"))


@versions
def test_what_one_looks_at_becomes_ours(path: Path) -> None:
    """Where the place can be written; the next time does nothing."""
    update_legacy(path.parent)
    after = path.read_bytes()
    update_legacy(path.parent)

    assert pragmas(path) == (APPLICATION_ID, schema_version())
    assert path.read_bytes() == after


@pytest.mark.parametrize("version", [1])
@pytest.mark.parametrize("later", ["5", "99"])
def test_a_later_version_is_refused_untouched(path: Path, later: str) -> None:
    """F23: what a later program of that line wrote is left byte for byte as it is."""
    change(path, f"UPDATE schema_info SET value = '{later}'")  # noqa: S608
    before = path.read_bytes()

    with pytest.raises(
        StoreError, match=f"has schema {later} of an earlier MatterStack, of which 1 to 4 are"
    ) as caught:
        open_database(path)

    assert caught.value.code == "MS502"
    assert path.read_bytes() == before
    assert not list(path.parent.glob("state.sqlite?*"))


@pytest.mark.parametrize("version", [1])
@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE external_runs",
        "ALTER TABLE tasks DROP COLUMN memory_gb",
        "DELETE FROM schema_info",
        "UPDATE schema_info SET value = 'one'",
        "UPDATE schema_info SET value = '0'",
        "DELETE FROM runs",
    ],
)
def test_a_file_that_merely_looks_like_one_is_refused_untouched(path: Path, sql: str) -> None:
    """All its tables, their columns, its version and its one run must be there."""
    change(path, sql)
    before = path.read_bytes()

    for readonly in (False, True):
        with pytest.raises(StoreError, match="not a state file of this program"):
            open_database(path, readonly=readonly)

    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [3])
def test_a_damaged_one_is_refused_untouched(path: Path) -> None:
    """A page that holds nonsense is found before anything is written."""
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    path.write_bytes(content)

    with pytest.raises(StoreError):
        open_database(path)

    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_crash_between_two_versions_is_made_good(path: Path, version: int) -> None:
    """The next time begins where it ended, and remembers what the file was at first."""
    open_database(path).close()
    done = rows_of(path, prefix="legacy_")
    half = path.with_name("half") / "state.sqlite"
    half.parent.mkdir()
    with closing(sqlite3.connect(path.with_name(f"state.sqlite.v{version}.bak"))) as source:
        source.execute("VACUUM INTO ?", (str(half),))
    change(half, "INSERT INTO schema_info VALUES ('original_version', '1'), ('original_sha256', 'abc')")

    database = open_database(half)
    (event,) = iterate_events(database)

    assert rows_of(half, prefix="legacy_") == done
    assert json.loads(event.payload_json)["original_sha256"] == "abc"
    assert half.with_name("state.sqlite.v1.bak").exists()
    database.close()
