"""Say what people should hear of a site that is away: once that it is, and once that it is reached again."""

from __future__ import annotations

# What lasts for less is told to nobody, unless the site was never reached.
LASTS_SEC = 60.0


class Outage:
    """The time for which a site is away; what a person has to end is told of beside what may end by itself."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told: set[bool] = set()

    def is_news(self, now: float, *, looked_at: float, is_final: bool) -> bool:
        """Take that the site is away, ``is_final`` where a person has to do something; tell whether to say so.

        ``looked_at`` is the second of the last look at its queue, 0 where there was none.
        """
        self._since = now if self._since is None else self._since
        lasts = not looked_at or now - self._since >= LASTS_SEC
        if is_final in self._told or not (is_final or lasts):
            return False
        self._told.add(is_final)
        return True

    def is_over(self, looked_at: float) -> bool:
        """Take that nothing is known to be in the way; tell whether to say that the site is reached again.

        That is what a look shows since it was away.
        """
        if self._since is None or looked_at <= self._since:
            return False
        was_told = bool(self._told)
        self._since, self._told = None, set()
        return was_told
