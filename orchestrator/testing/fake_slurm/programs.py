"""Run a program of the cluster: the first argument is the cluster's folder, the second the program's name."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.testing.fake_slurm.cluster import Cluster, opened
from orchestrator.testing.fake_slurm.control import scancel, scontrol
from orchestrator.testing.fake_slurm.listing import sacct, sinfo, squeue
from orchestrator.testing.fake_slurm.replies import RefusedError, Reply
from orchestrator.testing.fake_slurm.sbatch import sbatch

PROGRAMS: dict[str, Callable[[Cluster, Sequence[str]], Reply]] = {
    "sbatch": sbatch,
    "squeue": squeue,
    "sacct": sacct,
    "scancel": scancel,
    "scontrol": scontrol,
    "sinfo": sinfo,
}


def main(arguments: Sequence[str]) -> int:
    """Print what the program says and give its exit code."""
    folder, name, *words = arguments
    with opened(Path(folder)) as cluster:
        try:
            reply = PROGRAMS[name](cluster, words)
        except RefusedError as refused:
            reply = refused.reply
    time.sleep(reply.after_sec)
    sys.stdout.write(reply.stdout)
    sys.stderr.write(reply.stderr)
    return reply.exit_code
