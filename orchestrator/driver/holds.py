"""Notice which operators take on nothing new, since somebody has paused them."""

from __future__ import annotations

from orchestrator.clock import monotonic
from orchestrator.driver.run import Run
from orchestrator.operators.pausing import holds_in
from orchestrator.progress import Remark

_LOOKS_EVERY_SEC = 0.5


class Holds:
    """The operators of one run that rest; ``keys`` are theirs."""

    def __init__(self, run: Run) -> None:
        self.keys: tuple[str, ...] = ()
        self._run = run
        self._look_at = 0.0

    def heed(self) -> bool:
        """Look, now and then, and let the board know; tell whether anything changed."""
        if not self._run.means.operators or monotonic() < self._look_at:
            return False
        self._look_at = monotonic() + _LOOKS_EVERY_SEC
        holds = {key: hold for folder in self._run.means.hold_folders for key, hold in holds_in(folder).items()}
        before, self.keys = self.keys, tuple(sorted(holds.keys() & self._run.means.operators.keys()))
        if self.keys == before:
            return False
        self._run.board.close_operators(self.keys)
        for key in self.keys:
            if key not in before:
                remark = Remark(text=f"{key} was paused {holds[key]}", todo=f"go on with: {holds[key].way_on(key)}")
                self._run.means.reporter.tell(remark)
        return True
