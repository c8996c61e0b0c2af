"""A run of three tasks, freshly recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.database import FILE_NAME, Database, create_database
from orchestrator.store.runs import NewTask, insert_run, insert_tasks

RUN_ID = "20260102_030405_0a1b2c3d"


@pytest.fixture(name="run_root")
def _run_root(tmp_path: Path) -> Path:
    folder = tmp_path / RUN_ID
    folder.mkdir()
    return folder


@pytest.fixture(name="database")
def _database(run_root: Path) -> Iterator[Database]:
    database = create_database(run_root / FILE_NAME)
    names = ("load", "relax", "report")
    tasks = [NewTask(position=at, task_id=name, step=name, definition_sha256="0" * 64) for at, name in enumerate(names)]
    with database.transaction():
        insert_run(database, RUN_ID, "screening", "recipe.yaml")
        insert_tasks(database, tasks, seq=1)
    yield database
    database.close()
