"""Watch one job of a cluster that is not there: start its script, end it at its time, and tell how it ended."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestrator.testing.fake_slurm.cluster import Job, kill_group, opened, signal_of

LOOKS_EVERY_SEC = 0.05
_OUTPUT_PARTS = re.compile(r"%([%AajxJNu])")


class Watch:
    """One run of a job, from its start to its end."""

    def __init__(self, folder: Path, job: Job, settings: dict[str, float]) -> None:
        self.folder = folder
        self.job = job
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] | None = None

    def run(self) -> None:
        """Run the job and tell the cluster how it ended."""
        try:
            mode = "ab" if self.job["appends"] or self.job["restart"] else "wb"
            self.log = output_path(self.job).open(mode)
        except OSError:
            self._tell("FAILED", "JobLaunchFailure", 0, 53)
            return
        try:
            self.process = self._started()
        except OSError:
            self._tell("FAILED", "NonZeroExitCode", 2, 0)
            return
        self._watch(self.process)

    def _started(self) -> subprocess.Popen[bytes]:
        words = [self.job["script"], *json.loads(self.job["arguments"])]
        return subprocess.Popen(
            words,
            cwd=self.job["folder"],
            env=environment_of(self.job),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        limit_sec = self.job["minutes"] * self.settings["minute_sec"]
        began = time.monotonic()
        warned = not self.job["signal"]
        while process.poll() is None:
            time.sleep(LOOKS_EVERY_SEC)
            spent = time.monotonic() - began
            if not warned and spent >= limit_sec - float(self.job["signal"].partition("@")[2] or 60):
                _tell_script(process, signal_of(self.job["signal"].partition("@")[0].partition(":")[2]))
                warned = True
            asked = self._asked(process)
            if asked or spent >= limit_sec:
                self._end(process, asked or "TIMEOUT")
                return
        kill_group(process.pid, signal.SIGKILL)
        code = process.returncode
        if code < 0:
            self._tell("FAILED", "JobLaunchFailure", 0, -code)
        elif code:
            self._tell("FAILED", "NonZeroExitCode", code, 0)
        else:
            self._tell("COMPLETED", "None", 0, 0)

    def _asked(self, process: subprocess.Popen[bytes]) -> str:
        """Send the signals that somebody asked for, and give the state in which the job is to end, if it is."""
        connection = sqlite3.connect(self.folder / "cluster.sqlite", timeout=60)
        try:
            row = connection.execute("SELECT asked, signals FROM jobs WHERE key = ?", (self.job["key"],)).fetchone()
        finally:
            connection.close()
        if row[1]:
            self._send_signals(process)
        return str(row[0])

    def _send_signals(self, process: subprocess.Popen[bytes]) -> None:
        with opened(self.folder) as cluster:
            numbers = cluster.job(self.job["key"])["signals"].split()
            cluster.change(self.job["key"], signals="")
        for number in numbers:
            _tell_script(process, int(number))

    def _end(self, process: subprocess.Popen[bytes], state: str) -> None:
        self._write(state)
        with opened(self.folder) as cluster:
            cluster.change(self.job["key"], state="COMPLETING")
        if state not in ("NODE_FAIL", "OUT_OF_MEMORY"):
            kill_group(process.pid, signal.SIGCONT)
            kill_group(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.settings["kill_wait_sec"])
        kill_group(process.pid, signal.SIGKILL)
        process.wait()
        self._tell(state, *_ENDS.get(state, (state, 0, 0)))

    def _write(self, state: str) -> None:
        number, node = self.job["raw_id"], self.job["node"]
        head = f"slurmstepd-{node}: error:"
        ended = f"{head} *** JOB {number} ON {node} CANCELLED AT {time.strftime('%Y-%m-%dT%H:%M:%S')}"
        texts = {
            "TIMEOUT": f"{ended} DUE TO TIME LIMIT ***",
            "REQUEUED": f"{ended} DUE TO JOB REQUEUE ***",
            "PREEMPTED": f"{ended} DUE TO PREEMPTION ***",
            "CANCELLED": f"{ended} ***",
            "OUT_OF_MEMORY": f"{head} Detected 1 oom_kill event in StepId={number}.batch.",
        }
        if self.log is not None and state in texts:
            self.log.write(texts[state].encode() + b"\n")
            self.log.flush()

    def _tell(self, state: str, reason: str, exit_code: int, exit_signal: int) -> None:
        with opened(self.folder) as cluster:
            cluster.end(cluster.job(self.job["key"]), state, reason, exit_code, exit_signal)
            cluster.advance()


def _tell_script(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the script alone, as Slurm does: after CONT."""
    os.kill(process.pid, signal.SIGCONT)
    os.kill(process.pid, number)


_ENDS = {
    "TIMEOUT": ("TimeLimit", 0, 0),
    "CANCELLED": ("None", 0, 15),
    "NODE_FAIL": ("NodeDown", 0, 0),
    "OUT_OF_MEMORY": ("OutOfMemory", 0, 125),
    "DEADLINE": ("DeadLine", 1, 0),
    "BOOT_FAIL": ("JobLaunchFailure", 1, 0),
}


def output_path(job: Job) -> Path:
    """Give the file that gets what a job prints."""
    array = {"A": job["array_id"], "a": "" if job["task"] is None else job["task"]}
    parts = {"%": "%", "j": job["raw_id"], "J": job["raw_id"], "x": job["name"], "N": job["node"], "u": "user", **array}
    name = _OUTPUT_PARTS.sub(lambda found: str(parts[found[1]]), job["output"])
    return Path(job["folder"]) / name


def environment_of(job: Job) -> dict[str, str]:
    """Give the variables of a job: those that it was submitted with, and what Slurm tells it."""
    told = {
        "SLURM_JOB_ID": job["raw_id"],
        "SLURM_JOBID": job["raw_id"],
        "SLURM_JOB_NAME": job["name"],
        "SLURM_JOB_PARTITION": job["partition"],
        "SLURM_SUBMIT_DIR": job["folder"],
        "SLURM_CPUS_PER_TASK": job["cores"],
        "SLURM_NTASKS": 1,
        "SLURMD_NODENAME": job["node"],
        "SLURM_JOB_NODELIST": job["node"],
    }
    if job["task"] is not None:
        told |= {"SLURM_ARRAY_JOB_ID": job["array_id"], "SLURM_ARRAY_TASK_ID": job["task"]}
    if job["restart"]:
        told["SLURM_RESTART_COUNT"] = job["restart"]
    return {**json.loads(job["environment"]), **{name: str(value) for name, value in told.items()}}


def main(arguments: Sequence[str]) -> None:
    """Watch a job, which the arguments name by its cluster's folder and its row."""
    folder, key = Path(arguments[0]), int(arguments[1])
    with opened(folder) as cluster:
        job = cluster.job(key)
        settings = {name: float(cluster.setting(name)) for name in ("minute_sec", "kill_wait_sec")}
    Watch(folder, job, settings).run()
