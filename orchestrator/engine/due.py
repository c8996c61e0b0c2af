"""Say what is to be done in a run now."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done now, by position; ``wake_at`` is when the next retry is due, in the board's clock.

    Groups among ``start`` are to be expanded, those in ``collect`` have no task left that could change them. Where the
    ``round_is_over``, all steps have succeeded and somebody has to say whether there is another round of them; so with
    those of the groups in ``rounds_below``.
    """

    start: tuple[int, ...] = ()
    collect: tuple[int, ...] = ()
    block: tuple[tuple[int, str], ...] = ()
    skip: tuple[tuple[int, str], ...] = ()
    round_is_over: bool = False
    rounds_below: tuple[int, ...] = ()
    settled: RunState | None = None
    wake_at: float | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether there is nothing to do that could make something else due."""
        return not (self.start or self.collect or self.skip or self.round_is_over or self.rounds_below)
