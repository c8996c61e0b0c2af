"""Keep the results of steps over runs, in one SQLite file of all workspaces."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from orchestrator.clock import utc_now
from orchestrator.context import Change
from orchestrator.errors import InfrastructureError

FILE_NAME = ".cache.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    digest TEXT PRIMARY KEY,
    step TEXT NOT NULL,
    recipe TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    parts_json TEXT NOT NULL,
    stdout TEXT NOT NULL,
    writes_json TEXT NOT NULL,
    files_json TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS salt (number INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT
"""
_COLUMNS = "digest, step, recipe, run_id, task_id, created_at, parts_json, stdout, writes_json, files_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a step once came to: its standard output, its writes, and the digests of the files it left."""

    digest: str
    step: str
    recipe: str
    run_id: str
    task_id: str
    created_at: str = ""
    parts: Mapping[str, Any]
    stdout: str
    writes: tuple[Change, ...]
    files: Mapping[str, str]


class ResultCache:
    """The results below one root of workspaces; several runners may use it at once.

    It saves work and holds no truth: one that cannot be used is as good as an empty one, and nothing is lost with it.
    """

    def __init__(self, workspaces: Path, *, readonly: bool = False) -> None:
        self.path = workspaces / FILE_NAME
        self._readonly = readonly
        self._connection: apsw.Connection | None = None

    def find(self, digest: str) -> Result | None:
        """Give the result with this key, or None."""
        rows = self._all(f"SELECT {_COLUMNS} FROM results WHERE digest = ?", (digest,))  # noqa: S608  fixed text
        return _result(rows[0]) if rows else None

    def latest(self, recipe: str, task_id: str) -> Result | None:
        """Give the newest result of a task of a recipe, or None."""
        sql = f"SELECT {_COLUMNS} FROM results WHERE recipe = ? AND task_id = ? ORDER BY created_at DESC LIMIT 1"  # noqa: S608
        rows = self._all(sql, (recipe, task_id))
        return _result(rows[0]) if rows else None

    def iterate(self) -> Iterator[Result]:
        """Give all results, newest first."""
        for row in self._all(f"SELECT {_COLUMNS} FROM results ORDER BY created_at DESC"):  # noqa: S608  fixed text
            yield _result(row)

    def put(self, result: Result) -> None:
        """Keep a result; one with the same key is replaced. A cache that cannot be written stays as it is."""
        with contextlib.suppress(apsw.Error, OSError):
            self._open().execute(
                f"REPLACE INTO results ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  fixed text
                (
                    result.digest,
                    result.step,
                    result.recipe,
                    result.run_id,
                    result.task_id,
                    utc_now(),
                    json.dumps(dict(result.parts), ensure_ascii=False),
                    result.stdout,
                    json.dumps([[change.key, change.text, change.who] for change in result.writes]),
                    json.dumps(dict(result.files)),
                ),
            )

    def salt(self) -> str:
        """Give a random key that stays the same as long as the file does; a new one where it cannot be kept."""
        fresh = os.urandom(32).hex()
        with contextlib.suppress(apsw.Error, OSError):
            connection = self._open()
            if not self._readonly:
                connection.execute("INSERT OR IGNORE INTO salt VALUES (1, ?)", (fresh,))
            return next((str(value) for (value,) in connection.execute("SELECT value FROM salt")), fresh)
        return fresh

    def remove(self, prefix: str = "") -> int:
        """Forget the results whose key begins with ``prefix``, or all; return how many there were.

        Raises `InfrastructureError` where the file cannot be written.
        """
        if not self.path.exists():
            return 0
        try:
            connection = self._open()
            connection.execute("DELETE FROM results WHERE substr(digest, 1, ?) = ?", (len(prefix), prefix))
            return int(connection.changes())
        except apsw.Error as error:
            raise InfrastructureError(
                f"the cache {self.path} cannot be used: {error}", hint="remove the file; it holds no truth"
            ) from error

    def close(self) -> None:
        """Close the file, where it is open."""
        if self._connection is not None:
            self._connection.close()

    def _all(self, sql: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        try:
            return self._open().execute(sql, values).fetchall()
        except apsw.Error:
            return []

    def _open(self) -> apsw.Connection:
        if self._connection is None and self._readonly:
            self._connection = _open_untouched(self.path)
        if self._connection is None:
            connection = apsw.Connection(str(self.path))
            connection.setbusytimeout(2_000)
            for sql in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", _SCHEMA):
                connection.execute(sql)
            self._connection = connection
        return self._connection


def _open_untouched(path: Path) -> apsw.Connection:
    """Open the file so that nothing appears beside it: as one that never changes, unless somebody has it open."""
    is_open = path.with_name(f"{path.name}-shm").exists()
    name = f"file:{quote(str(path))}?mode=ro{'' if is_open else '&immutable=1'}"
    return apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _result(row: tuple[Any, ...]) -> Result:
    return Result(
        digest=row[0],
        step=row[1],
        recipe=row[2],
        run_id=row[3],
        task_id=row[4],
        created_at=row[5],
        parts=json.loads(row[6]),
        stdout=row[7],
        writes=tuple(Change(*write) for write in json.loads(row[8])),
        files=json.loads(row[9]),
    )
