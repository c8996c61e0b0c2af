"""Name jobs, and the files by which the cluster and the runner tell each other of a job."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence

from orchestrator import layout
from orchestrator.operators import staging

MOST_LETTERS = 64

# In the directory of a run, those of its arrays.
JOBS = "jobs"
# All of them lie in the directory that the job is submitted from: the attempt's own, or for an array one of the job.
SCRIPT = f"{layout.OWN}/job.sh"
FOLDERS = f"{layout.OWN}/folders"
JOB = f"{layout.OWN}/job"
LOCK = f"{layout.OWN}/submitting"
LOG, ARRAY_LOG = f"{layout.OWN}/slurm.log", f"{layout.OWN}/slurm-%a.log"
# And these in the directory of each attempt.
PAYLOAD, SECRETS = f"{layout.OWN}/payload.sh", f"{layout.OWN}/secrets.sh"
CLAIM, EXIT = staging.CLAIM, f"{layout.OWN}/exit"

_OTHER_LETTERS = re.compile(r"[^A-Za-z0-9._]+")
_DIGEST_LETTERS = 10


def job_name(*, run_id: str, task_id: str, attempt_index: int, attempts: Sequence[str], turn: int = 0) -> str:
    """Give the name of a job: the same whenever it is asked for, and of no other job.

    ``task_id`` and ``attempt_index`` are those of the first of its ``attempts``. The name has at most 64 of the
    characters ``A-Z a-z 0-9 . _ -``.
    """
    digest = _digest([run_id, task_id, attempt_index, list(attempts), turn])
    head, tail = f"ms-{_plain(run_id)[-8:]}-", f"-{attempt_index}-{digest}"
    return head + _plain(task_id)[: MOST_LETTERS - len(head) - len(tail)] + tail


def of_turn(name: str, turn: int) -> str:
    """Give the name of a file that each continuation of an attempt has for itself."""
    return f"{name}.{turn}" if turn else name


def _plain(text: str) -> str:
    return _OTHER_LETTERS.sub("_", text).strip("_") or "_"


def _digest(of: Sequence[object]) -> str:
    """Give fifty bits: the names of a hundred thousand tasks may differ in nothing else."""
    digest = hashlib.sha256(json.dumps(of).encode()).digest()
    return base64.b32encode(digest).decode("ascii")[:_DIGEST_LETTERS].lower()
