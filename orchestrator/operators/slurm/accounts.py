"""Ask the accounting of a site once for all operators that share the way to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.clock import up_sec
from orchestrator.operators.slurm.answers import AccountRow
from orchestrator.operators.slurm.states import Phase

# An accounting that did not answer is left in peace for so long.
_AGAIN_SEC = 300.0


class Accounts:
    """What the accounting of one site has told of jobs that the queue does not show any more.

    Jobs are given as their names by their ids. Who asks does so for the jobs that others `expect` to ask for, too, so
    that these find the answer there. An accounting that failed `is_silent`: it is not asked for a while.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: dict[int, Mapping[str, str]] = {}
        self._rows: dict[str, AccountRow] = {}
        self._again_at = 0.0

    @property
    def is_silent(self) -> bool:
        """Tell whether it did not answer and is left in peace."""
        return up_sec() < self._again_at

    def expect(self, who: object, jobs: Mapping[str, str]) -> None:
        """Note the jobs that somebody will ask for once the queue does not show them any more."""
        with self._lock:
            self._expected[id(who)] = jobs

    def told_of(
        self,
        jobs: Mapping[str, str],
        shown: Collection[str],
        ask: Callable[[Sequence[str]], Sequence[AccountRow] | None],
    ) -> dict[str, AccountRow]:
        """Give what is told of jobs, by their ids; ``shown`` are the ids of those that the queue shows.

        ``ask`` gives the rows of some ids, or None where nobody answers. A row of another name is left out.
        """
        with self._lock:
            if not self.is_silent and not all(self._has_ended(one) for one in jobs):
                expected = {one for others in self._expected.values() for one in others}
                rows = ask([*jobs, *sorted(expected - jobs.keys() - set(shown))])
                self._again_at = up_sec() + _AGAIN_SEC if rows is None else 0.0
                self._rows = {row.job_id: row for row in rows or ()}
            return {one: row for one, name in jobs.items() if (row := self._rows.get(one)) and row.name == name}

    def _has_ended(self, job_id: str) -> bool:
        row = self._rows.get(job_id)
        return row is not None and row.state.phase is Phase.ENDED
