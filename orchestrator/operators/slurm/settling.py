"""Find out whether a job exists whose submission was never answered; nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.operators.slurm.answers import Settings
from orchestrator.wiring.model import SlurmBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search for the jobs of a name: the ids that were found, and whether all who know were asked with success."""

    at_sec: float
    ids: frozenset[str]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a search means: the job to ``adopt``, ``doubles`` to cancel; or that it is to be ``sent`` again."""

    adopt: str = ""
    doubles: tuple[str, ...] = ()
    is_absent: bool = False


class Inquiry:
    """The searches for one job so far: it is absent once two whole ones, some time apart, have found nothing."""

    def __init__(self) -> None:
        self._empty_since: float | None = None

    def take(self, search: Search, *, grace_sec: float) -> Settled | None:
        """Say what the searches mean with this one, where ``grace_sec`` is that time; None where more are needed."""
        if search.ids:
            first, *others = by_number(search.ids)
            return Settled(adopt=first, doubles=tuple(others))
        if not search.is_whole:
            return None
        if self._empty_since is None:
            self._empty_since = search.at_sec
            return None
        is_over = search.at_sec - self._empty_since >= grace_sec
        return Settled(is_absent=True) if is_over else None


def grace_sec_of(backend: SlurmBackend, settings: Settings) -> float:
    """Give how far apart two searches must be: unless somebody says, by how long Slurm may take to answer."""
    if "grace" in backend.model_fields_set:
        return backend.grace
    return max(backend.grace, 2 * (settings.message_timeout_sec or 0.0))


def by_number(ids: Iterable[str]) -> list[str]:
    """Give the ids of jobs in the order in which Slurm gave them out."""
    return sorted(ids, key=lambda one: [int(part) if part.isdecimal() else 0 for part in one.split("_")])
