"""A cluster that is not there: its jobs are rows of a database and processes of this machine.

Nobody has to serve it. Every look at it takes it on to the present, and so does every job that ends.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo")
ACTIVE = ("PENDING", "RUNNING", "COMPLETING")

# What may be set, and what it is otherwise. Limits of partitions are minutes.
SETTINGS: dict[str, Any] = {
    "cluster": "fake",
    "controller": "up",  # up | down: nothing reaches it | hung: jobs reach it and no answer comes
    "accounting": "on",  # on | off: the cluster has none | down: it cannot be reached
    "accounting_lag_sec": 0.0,
    "patience_sec": 0.1,  # how long programs wait for a controller that is down or hung
    "min_job_age_sec": 300.0,
    "max_array_size": 1001,
    "max_submit": None,  # how many jobs may be waiting or running
    "refusal": "",  # what sbatch says of every job
    "enforce_limits": True,
    "minute_sec": 60.0,  # how long a minute of a time limit lasts
    "kill_wait_sec": 2.0,
    "requeue_wait_sec": 0.5,
    "accounts": ["main"],
    "features": [],
    "nodes": {f"node{number}": {"cores": 8, "memory_mb": 8000, "gpus": 2} for number in range(1, 5)},
    "down": [],
    "partitions": {
        "batch": {"limit": 1440, "default": 10, "nodes": ["node1", "node2", "node3", "node4"], "state": "up"},
        "debug": {"limit": 1, "default": 1, "nodes": ["node1"], "state": "up"},
    },
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    key INTEGER PRIMARY KEY, raw_id INTEGER NOT NULL, array_id INTEGER NOT NULL, task INTEGER, excluded TEXT NOT NULL,
    name TEXT NOT NULL, comment TEXT NOT NULL, partition TEXT NOT NULL, account TEXT NOT NULL,
    script TEXT NOT NULL, arguments TEXT NOT NULL, folder TEXT NOT NULL, environment TEXT NOT NULL,
    output TEXT NOT NULL, appends INTEGER NOT NULL, cores INTEGER NOT NULL, memory_mb INTEGER NOT NULL,
    minutes REAL NOT NULL, signal TEXT NOT NULL, may_requeue INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, submitted REAL NOT NULL, started REAL, ended REAL,
    exit_code INTEGER NOT NULL DEFAULT 0, exit_signal INTEGER NOT NULL DEFAULT 0, node TEXT NOT NULL DEFAULT '',
    restart INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,
    supervisor INTEGER NOT NULL DEFAULT 0, asked TEXT NOT NULL DEFAULT '', signals TEXT NOT NULL DEFAULT '',
    cancelled_by INTEGER
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, key);
CREATE TABLE IF NOT EXISTS former (job INTEGER NOT NULL, state TEXT NOT NULL, started REAL, ended REAL, node TEXT);
"""
# Whatever the environment says of Python, and wherever this is installed.
_LAUNCHER = """\
import sys
from importlib import import_module
sys.path.insert(0, sys.argv[1])
sys.exit(import_module(f"orchestrator.testing.fake_slurm.{sys.argv[2]}").main(sys.argv[3:]))
"""


Job = dict[str, Any]


class Cluster:
    """The jobs and settings of a cluster, as of the moment at which they were opened."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.rows = connection
        self.now = time.time()

    def setting(self, name: str) -> Any:  # noqa: ANN401  of any type
        """Give a setting."""
        row = self.rows.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return SETTINGS[name] if row is None else json.loads(row["value"])

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401  of any type
        """Change a setting."""
        if name not in SETTINGS:
            raise KeyError(name)
        self.rows.execute("REPLACE INTO settings (name, value) VALUES (?, ?)", (name, json.dumps(value)))

    def jobs(self) -> list[Job]:
        """Give the jobs that the controller knows, in the order of their submission."""
        oldest = self.now - self.setting("min_job_age_sec")
        return self.rows.execute(
            "SELECT * FROM jobs WHERE ended IS NULL OR ended > ? ORDER BY key", (oldest,)
        ).fetchall()

    def job(self, key: int) -> Job:
        """Give a job by its row."""
        row: Job = self.rows.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
        return row

    def change(self, key: int, **values: Any) -> None:  # noqa: ANN401  of any type
        """Change columns of a job."""
        for name, value in values.items():
            self.rows.execute(f"UPDATE jobs SET {name} = ? WHERE key = ?", (value, key))  # noqa: S608  our own names

    def next_id(self) -> int:
        """Give the number of the next job."""
        row = self.rows.execute("SELECT max(raw_id) AS found FROM jobs").fetchone()
        return int(row["found"] or 0) + 1

    def advance(self) -> None:
        """Take the cluster on to the present: lose jobs that nobody watches, and start those that fit."""
        if self.setting("controller") != "up":
            return
        for job in self.rows.execute("SELECT * FROM jobs WHERE state IN ('RUNNING', 'COMPLETING')").fetchall():
            if not is_alive(job["supervisor"]):
                self.end(job, "NODE_FAIL", "NodeDown")
        free = _free(self)
        for job in self.rows.execute("SELECT * FROM jobs WHERE state = 'PENDING' ORDER BY key").fetchall():
            self._schedule(job, free)

    def end(self, job: Job, state: str, reason: str, exit_code: int = 0, exit_signal: int = 0) -> None:
        """Have a job ended, or begun again where it may be and its node failed."""
        is_again = state == "REQUEUED" or (state in ("NODE_FAIL", "PREEMPTED") and job["may_requeue"])
        if is_again:
            self.rows.execute(
                "INSERT INTO former (job, state, started, ended, node) VALUES (?, ?, ?, ?, ?)",
                (job["key"], state, job["started"], self.now, job["node"]),
            )
            wait = self.now + self.setting("requeue_wait_sec")
            back = {"state": "PENDING", "reason": "BeginTime", "started": None, "node": "", "asked": ""}
            self.change(job["key"], **back, not_before=wait, restart=job["restart"] + 1)
            return
        codes = {"exit_code": exit_code, "exit_signal": exit_signal}
        self.change(job["key"], state=state, reason=reason, ended=self.now, asked="", **codes)

    def ask_to_end(self, job: Job, state: str, by: int | None = None) -> None:
        """Have a job ended by others: at once where it waits, else by who watches it."""
        self.change(job["key"], cancelled_by=by)
        if job["state"] == "PENDING":
            self.end(job, state, "None")
        elif job["state"] in ACTIVE:
            self.change(job["key"], asked=state)

    def signal(self, job: Job, number: int) -> None:
        """Have a signal sent to the script of a job that runs, by who watches it."""
        if job["state"] == "RUNNING":
            self.change(job["key"], signals=f"{job['signals']} {number}")

    def _schedule(self, job: Job, free: dict[str, int]) -> None:
        reason = self._obstacle(job)
        names = self.setting("partitions")[job["partition"]]["nodes"]
        able = (name for name in names if free.get(name, 0) >= job["cores"] and name not in job["excluded"].split(","))
        node = next(able, "")
        if not reason and not node:
            reason = "Resources"
        if reason:
            self.change(job["key"], reason=reason)
            return
        free[node] -= job["cores"]
        self._start(job, node)

    def _obstacle(self, job: Job) -> str:
        partition = self.setting("partitions")[job["partition"]]
        if job["held"]:
            return "JobHeldUser"
        if partition["state"] != "up":
            return "PartitionDown"
        if job["minutes"] > partition["limit"]:
            return "PartitionTimeLimit"
        if job["not_before"] > self.now:
            return "BeginTime"
        return ""

    def _start(self, job: Job, node: str) -> None:
        raw_id = job["raw_id"]
        if job["task"] is not None and raw_id == job["array_id"]:
            others = "SELECT count(*) AS found FROM jobs WHERE array_id = ? AND state = 'PENDING' AND key <> ?"
            # The last task of an array to start keeps the array's own number.
            if self.rows.execute(others, (job["array_id"], job["key"])).fetchone()["found"]:
                raw_id = self.next_id()
        with (self.folder / "supervisors.log").open("ab") as log:
            supervisor = subprocess.Popen(
                command("supervisor", str(self.folder), str(job["key"])),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        supervisor.returncode = 0  # it outlives this process, and nobody here waits for it
        now = {"state": "RUNNING", "reason": "None", "started": self.now, "node": node}
        self.change(job["key"], **now, raw_id=raw_id, supervisor=supervisor.pid)


@contextmanager
def opened(folder: Path) -> Iterator[Cluster]:
    """Give the cluster of a folder as of now, to nobody else meanwhile, and keep what was changed unless it fails."""
    connection = sqlite3.connect(folder / "cluster.sqlite", timeout=60, isolation_level=None)
    connection.row_factory = _as_dict
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        cluster = Cluster(folder, connection)
        cluster.advance()
        yield cluster
        connection.execute("COMMIT")
    finally:
        connection.close()


def made(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the files of a cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / "cluster.sqlite")
    connection.executescript(_SCHEMA)
    connection.close()
    with opened(folder) as cluster:
        for name, value in settings.items():
            cluster.set(name, value)


def command(module: str, *arguments: str) -> list[str]:
    """Give the command that runs a module of this package."""
    root = str(Path(__file__).resolve().parents[3])
    return [sys.executable, "-I", "-c", _LAUNCHER, root, module, *arguments]


def is_alive(pid: int) -> bool:
    """Tell whether a process is there, other than as what is left of one."""
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[0] != "Z"
    return False


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def job_id(job: Job) -> str:
    """Give the id by which a job is asked for."""
    return str(job["array_id"]) if job["task"] is None else f"{job['array_id']}_{job['task']}"


def signal_of(text: str) -> int:
    """Give the number of a signal such as USR1 or 10."""
    return int(text) if text.isdecimal() else int(signal.Signals[f"SIG{text.removeprefix('SIG')}"])


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Job:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _free(cluster: Cluster) -> dict[str, int]:
    down = cluster.setting("down")
    free = {name: node["cores"] for name, node in cluster.setting("nodes").items() if name not in down}
    for job in cluster.rows.execute("SELECT node, cores FROM jobs WHERE state IN ('RUNNING', 'COMPLETING')"):
        if job["node"] in free:
            free[job["node"]] -= job["cores"]
    return free
