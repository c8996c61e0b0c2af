"""Run every benchmark: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import subprocess
import sys

# Each in a process of its own: a child's peak memory counts from that of the process which starts it.
if __name__ == "__main__":
    for benchmark in ("chains", "fans", "reports", "restart", "routed", "start"):
        subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}", *sys.argv[1:]], check=True)
        print()
