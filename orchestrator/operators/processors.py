"""Lend processors of this machine to attempts that ask for some: those that are lent least."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MATTERSTACK_CORES")


class Processors:
    """The processors that this process may use, and to whom they are lent."""

    def __init__(self) -> None:
        has_affinity = hasattr(os, "sched_getaffinity")
        self._all = sorted(os.sched_getaffinity(0)) if has_affinity else []
        self._lent: dict[str, list[int]] = {}

    @contextmanager
    def lent(self, attempt_id: str, cores: int | None) -> Iterator[dict[str, str]]:
        """Keep this thread, and so what it starts, to so many processors; give the variables that tell a program so.

        Where an attempt asks for none, or for all there are, it may use all.
        """
        if cores is None:
            yield {}
            return
        variables = dict.fromkeys(_THREADS, str(cores))
        if cores >= len(self._all):
            yield variables
            return
        chosen = self._lent[attempt_id] = self._least_lent(cores)
        os.sched_setaffinity(0, chosen)
        try:
            yield variables
        finally:
            os.sched_setaffinity(0, self._all)

    def give_back(self, attempt_id: str) -> None:
        """Note that an attempt has ended."""
        self._lent.pop(attempt_id, None)

    def _least_lent(self, cores: int) -> list[int]:
        counts = dict.fromkeys(self._all, 0)
        for chosen in self._lent.values():
            for processor in chosen:
                counts[processor] += 1
        return sorted(sorted(self._all, key=counts.__getitem__)[:cores])
