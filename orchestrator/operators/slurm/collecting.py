"""End attempts whose jobs have ended: find out how, let those go on that may, and bring home what they left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from orchestrator.operators.assignments import Sighting
from orchestrator.operators.slurm.answers import AccountRow
from orchestrator.operators.slurm.asking import accounting
from orchestrator.operators.slurm.batches import may_continue
from orchestrator.operators.slurm.endings import Ended, ended_of
from orchestrator.operators.slurm.fetching import Fetcher, left_at_home
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.leavings import Left, Place
from orchestrator.operators.slurm.parcels import Places
from orchestrator.operators.slurm.sites import Site
from orchestrator.operators.slurm.states import State
from orchestrator.states import AttemptState
from orchestrator.wiring.model import SlurmBackend

_AT_ONCE = 200
# So late NFS may show a file to another machine than the one that made it, by its own default.
_SHOWN_LATE_SEC = 60.0


class Collector:
    """Tells how attempts ended, by the queue, the accounting and what they left, and of none before its files are home.

    ``go_on`` gives an attempt whose time was over another job.
    """

    def __init__(self, site: Site, backend: SlurmBackend, fetcher: Fetcher, go_on: Callable[[Held], None]) -> None:
        self._site = site
        self._backend = backend
        self._fetcher = fetcher
        self._go_on = go_on

    def collect(self, attempts: Iterable[Held], places: Places, shown: Collection[str]) -> Iterator[Sighting]:
        """End the attempts whose jobs have ended; ``shown`` are the ids of jobs in the queue. Raises `AwayError`."""
        there = [held for held in attempts if held.stage is Stage.THERE]
        self._site.accounts.expect(self, _names(there))
        over = [held for held in there if held.may_be_over]
        accounts = self._told_by_accounting(_names(held for held in over if held.ended_as is None), shown)
        for start in range(0, len(over), _AT_ONCE):
            yield from self._end(over[start : start + _AT_ONCE], places, accounts)

    def close(self) -> None:
        """Ask the accounting for nothing any more."""
        self._site.accounts.expect(self, {})

    def _end(self, over: Sequence[Held], places: Places, accounts: Mapping[str, AccountRow]) -> Iterator[Sighting]:
        ended: list[Ended] = []
        for held, found in zip(over, self._site.leavings([_place(held, places) for held in over]), strict=True):
            left = left_at_home(held.assignment) or found
            if left is None:
                continue
            account = accounts.get(held.job_id)
            state = held.end_of(left.record, account)
            if (standing := self._standing(held, left, state)) is not None:
                yield from held.news(*standing)
                continue
            end = ended_of(held, left, state, account)
            if end.wants_more and not held.is_unwanted and may_continue(held.assignment, held.turn):
                yield from self._continue(end)
            else:
                ended.append(end)
        yield from self._bring(ended, places)

    def _standing(self, held: Held, left: Left, state: State | None) -> tuple[AttemptState, str] | None:
        """Give the state of an attempt that has not ended, or not for sure, and what people should know; else None."""
        other = left.holder if left.holder != held.job_id else ""
        if not other and held.others and (state is None or not left.holder):
            other = held.others[0]
        if other:
            held.follow(other)
            return AttemptState.RUNNING, "carried out by another job of its name"
        if state is None and not held.is_lost(self._backend.lost_after):
            return AttemptState.MISSING, "its job is neither in the queue nor in the accounting"
        if held.awaits_record(left, state, min(_SHOWN_LATE_SEC, self._backend.grace)):
            return AttemptState.COLLECTING, "its job has ended, and its record is awaited"
        return None

    def _continue(self, end: Ended) -> Iterator[Sighting]:
        """Let an attempt go on in another job, in the same directory."""
        held = end.held
        held.earlier.append(end.told)
        self._go_on(held)
        most = held.assignment.work["on_walltime"]["restart"]
        yield from held.news(AttemptState.QUEUED, f"its time was over: continued ({held.turn} of {most})")

    def _bring(self, ended: Sequence[Ended], places: Places) -> Iterator[Sighting]:
        """Bring files home and tell of the ends, once nothing lies on the cluster that is not to stay."""
        by_attempt = {end.held.assignment.attempt_id: end for end in ended}
        home = list(self._fetcher.fetch([end.shipment for end in ended], places))
        if home:
            self._fetcher.tidy(home, places)
        for shipment in home:
            end = by_attempt[shipment.assignment.attempt_id]
            yield end.held.over(end.done())

    def _told_by_accounting(self, jobs: Mapping[str, str], shown: Collection[str]) -> dict[str, AccountRow]:
        """Ask for jobs that the queue does not show any more; the accounting may be down, or there may be none."""
        has_any = jobs and self._site.facts().settings.has_accounting
        return self._site.accounts.told_of(jobs, shown, self._ask) if has_any else {}

    def _ask(self, ids: Sequence[str]) -> tuple[AccountRow, ...] | None:
        return self._site.accounted(accounting(ids=ids))


def _names(some: Iterable[Held]) -> dict[str, str]:
    """Give the names of jobs by their ids."""
    return {held.job_id: held.known_job.key for held in some}


def _place(held: Held, places: Places) -> Place:
    job, assignment = held.known_job, held.assignment
    folder = places.attempt(assignment)
    return Place(folder=folder, job_folder=places.job(job, assignment), turn=job.turn, index=held.index)
