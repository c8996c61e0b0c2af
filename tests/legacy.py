"""Give runs as MatterStack 0.2.x left them: real ones of schema 1 and 3, and what its later versions made of those."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from orchestrator.store.database import reading, update_legacy
from orchestrator.store.queries import read_tasks

DATA = Path(__file__).with_name("data") / "legacy"
RUNS = {1: "20261120_115630_9b166b82", 3: "20261120_115550_ac31da44"}
# What the tables of versions 1 and 3 call the attempts.
ATTEMPTS = {1: "external_runs", 3: "task_attempts"}
KEPT = ("runs", "tasks", "task_attempts", "external_runs")

# What the earlier program derived the ids from that attempts of version 1 did not have.
NAMESPACE = uuid.UUID("6df7afdd-8f9f-4b0c-9a2c-6f2b0c2b2b1a")

TO_VERSION_2 = """
CREATE TABLE task_attempts (
    attempt_id VARCHAR NOT NULL, task_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, attempt_index INTEGER NOT NULL,
    status VARCHAR NOT NULL, operator_type VARCHAR, external_id VARCHAR, operator_data JSON NOT NULL,
    relative_path VARCHAR, created_at DATETIME, submitted_at DATETIME, ended_at DATETIME, status_reason TEXT,
    PRIMARY KEY (attempt_id), CONSTRAINT uq_task_attempts_task_index UNIQUE (task_id, attempt_index),
    FOREIGN KEY(task_id) REFERENCES tasks (task_id), FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
CREATE INDEX ix_task_attempts_run_id ON task_attempts (run_id);
CREATE INDEX ix_task_attempts_run_id_status ON task_attempts (run_id, status);
CREATE INDEX ix_task_attempts_task_id ON task_attempts (task_id);
ALTER TABLE tasks ADD COLUMN current_attempt_id VARCHAR;
INSERT INTO task_attempts SELECT attempt_id(run_id, task_id), task_id, run_id, 1, status, operator_type, external_id,
    operator_data, relative_path, (SELECT created_at FROM runs), NULL, NULL, NULL FROM external_runs;
UPDATE tasks SET current_attempt_id = attempt_id(run_id, task_id) WHERE task_id IN (SELECT task_id FROM external_runs);
UPDATE schema_info SET value = '2' WHERE key = 'version';
"""
TO_VERSION_4 = """
ALTER TABLE tasks ADD COLUMN operator_key VARCHAR;
UPDATE schema_info SET value = '4' WHERE key = 'version';
"""

TEN_THOUSAND_OF_VERSION_1 = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
INSERT INTO tasks SELECT 'task_' || n, run_id, image, 'echo ' || n, files, env, '[]', cores, memory_gb, gpus,
    time_limit_minutes, 0, 0, 'COMPLETED', task_type FROM numbers, tasks WHERE task_id = 'relax_cu';
INSERT INTO external_runs SELECT tasks.task_id, run_id, 'HPC', 'job ' || rowid, 'COMPLETED',
    json_object('output_data', json_object('job_id', rowid)), 'operators/hpc/' || rowid FROM tasks
    WHERE task_id LIKE 'task_%';
"""
TEN_THOUSAND_OF_VERSION_3 = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
INSERT INTO task_attempts SELECT 'attempt-' || n, task_id, run_id, n + 1, 'FAILED', operator_key, operator_type,
    'job ' || n, json_object('output_data', json_object('job_id', n)), relative_path, created_at, submitted_at,
    ended_at, 'attempt ' || n || ' failed' FROM numbers, task_attempts WHERE attempt_index = 1 AND task_id = 'relax_ni';
"""


def put_run(runs: Path, version: int) -> Path:
    """Copy a run into a folder of runs, as a program of schema 1, 2, 3 or 4 left it; give its directory."""
    base = 1 if version < 3 else 3
    root = runs / RUNS[base]
    shutil.copytree(DATA / f"v{base}" / RUNS[base], root)
    if version in (2, 4):
        change(root / "state.sqlite", TO_VERSION_2 if version == 2 else TO_VERSION_4)
    return root


def count_tasks_of(root: Path) -> int:
    """Bring a run up to date and count its tasks, as a process of its own may do."""
    update_legacy(root)
    with reading(root) as database:
        return len(read_tasks(database))


def change(path: Path, sql: str) -> None:
    """Run statements on a state file as a program that knows nothing of ours."""
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function(
            "attempt_id", 2, lambda run, task: str(uuid.uuid5(NAMESPACE, f"{run}:{task}")), deterministic=True
        )
        connection.executescript(sql)


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a state file to look at it with SQLite alone."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def rows_of(path: Path, prefix: str = "") -> dict[str, list[tuple[object, ...]]]:
    """Give the rows of the earlier program's tables, in the columns that version 1, or the first attempts, had."""
    with looking(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        tables = [table for table in KEPT if f"{prefix}{table}" in names]
        return {
            table: connection.execute(f"SELECT {_columns(table)} FROM {prefix}{table} ORDER BY rowid").fetchall()  # noqa: S608
            for table in tables
        }


def _columns(table: str) -> str:
    source = DATA / f"v{1 if table != 'task_attempts' else 3}"
    (path,) = source.glob("*/state.sqlite")
    with looking(path) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return ", ".join(name for name in names if name != "operator_key")
