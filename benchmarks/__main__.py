"""Run every benchmark: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import sys

from benchmarks import chains, start

if __name__ == "__main__":
    for benchmark in (chains, start):
        benchmark.main(sys.argv[1:])
        print()
