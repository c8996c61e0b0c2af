"""Say when a site is looked at: seldom while nothing changes, soon where news is due, not while it is away."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from orchestrator.clock import up_sec

# Looks at the queue come less often while nothing changes, up to this.
_LONGEST_SEC = 300.0
_SLOWER = 1.5
_SHORTEST_SEC = 0.05


class Pace:
    """When the last look at a queue was and when the next is due, in seconds of the machine's uptime.

    Looks are ``every_sec`` apart where things change. They are never so far apart that a job can end and be forgotten
    between two of them: ``forgotten_after`` gives the seconds after which the site may not tell of an ended job.
    """

    def __init__(self, every_sec: float, forgotten_after: Callable[[], float]) -> None:
        self.looked_at = 0.0
        self._wired_sec = self._every_sec = every_sec
        self._forgotten_after = forgotten_after
        self._look_at = self._away_until = 0.0

    @property
    def next_at(self) -> float:
        """Give when the next look is due; infinity where the site is away until somebody does something."""
        return max(self._look_at, self._away_until)

    @property
    def is_due(self) -> bool:
        """Tell whether it is time for a look."""
        return up_sec() >= self.next_at

    @property
    def is_away(self) -> bool:
        """Tell whether the site is left alone, since it could not be reached."""
        return up_sec() < self._away_until

    @property
    def oldest(self) -> float:
        """Give since when a look will do: another runner's may be a little old, but it is never our last one."""
        return max(up_sec() - self._interval_sec, self.looked_at + 0.001)

    def until_sec(self, times: Iterable[float]) -> float | None:
        """Give the seconds until the next look, or until the first of other ``times``; None where nothing is due."""
        left_sec = max(min((self._look_at, *times)), self._away_until) - up_sec()
        return None if math.isinf(left_sec) else max(_SHORTEST_SEC, left_sec)

    def looked(self) -> None:
        """Take note of a look."""
        self.looked_at = up_sec()

    def go_on(self, *, is_still: bool) -> None:
        """Say when to look again; later than the last time where nothing had changed."""
        slower_sec = max(self._interval_sec, min(self._every_sec * _SLOWER, self._longest_sec))
        self._every_sec = slower_sec if is_still else self._interval_sec
        self._look_at = self.looked_at + self._every_sec

    def rest(self) -> None:
        """Put the look off, since there is nothing to be seen."""
        self._look_at = up_sec() + self._interval_sec

    def wait_after(self, at_sec: float) -> None:
        """Put the look off, since somebody asked the site at that second."""
        self._look_at = at_sec + self._interval_sec

    def hurry(self) -> None:
        """Look as soon as the site's patience allows."""
        self._every_sec = self._interval_sec
        self._look_at = min(self._look_at, max(up_sec(), self.looked_at + self._every_sec))

    def stay_away(self, sec: float) -> None:
        """Leave the site alone for some seconds."""
        self._away_until = up_sec() + sec

    @property
    def _interval_sec(self) -> float:
        return min(self._wired_sec, self._longest_sec)

    @property
    def _longest_sec(self) -> float:
        return min(max(_LONGEST_SEC, self._wired_sec), self._forgotten_after() / 2)
