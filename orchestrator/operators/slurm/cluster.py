"""Carry attempts out as jobs of a Slurm cluster: each of them once, whatever is lost on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

from orchestrator.clock import up_sec, utc_after
from orchestrator.errors import ScriptletError
from orchestrator.operators.assignments import Assignment, Sighting, not_begun
from orchestrator.operators.payload import texts_of
from orchestrator.operators.slurm.batches import demand_of
from orchestrator.operators.slurm.collecting import Collector
from orchestrator.operators.slurm.directives import directives
from orchestrator.operators.slurm.fetching import Fetcher
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.ledger import Job, Ledger
from orchestrator.operators.slurm.notices import Notice, leave
from orchestrator.operators.slurm.outages import Outage
from orchestrator.operators.slurm.pace import Pace
from orchestrator.operators.slurm.parcels import Places, payload_of
from orchestrator.operators.slurm.sending import Sender
from orchestrator.operators.slurm.sites import AwayError, Site
from orchestrator.operators.slurm.watching import cancel_unwanted, see, shown_by
from orchestrator.operators.staging import stage
from orchestrator.progress import Remark
from orchestrator.states import AttemptState
from orchestrator.wiring.model import SlurmBackend

# So soon a site that was away is tried again; how soon there is a new connection is for the way to it to say.
_TRY_AGAIN_SEC = 10.0


class SlurmOperator:
    """Holds the attempts of one operator key; the site is shared with other keys.

    A site that cannot be reached ends no attempt and begins none: what is to be done there waits. While ``paused`` says
    why, nothing is submitted.
    """

    def __init__(self, site: Site, backend: SlurmBackend, paused: Callable[[], str] = str) -> None:
        self._site = site
        self._backend = backend
        self._held: dict[str, Held] = {}
        self._ledger = Ledger()
        self._pace = Pace(backend.poll_every, lambda: site.forgets_after_sec)
        fetcher = Fetcher(site, backend.keep)
        self._sender = Sender(
            site,
            backend,
            self._held,
            ledger=self._ledger,
            fetcher=fetcher,
            paused=paused,
            hurry=self._pace.hurry,
        )
        self._collector = Collector(site, backend, fetcher, self._sender.go_on)
        self._trouble, self._is_final, self._outage = "", False, Outage()
        self._noticed: tuple[float, str, float, tuple[str, ...]] | None = None

    @property
    def looks_every_sec(self) -> float | None:
        """Give the seconds until there is something to do."""
        return self._pace.until_sec(self._sender.times())

    def fileno(self) -> int | None:
        """Give nothing: a cluster does not tell by itself."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Stage attempts and submit their jobs, as few as may be; those that may have jobs are looked for first."""
        self._ledger.read(assignment.run_root for assignment in assignments)
        for assignment in assignments:
            job = self._ledger.job_of(assignment.attempt_id)
            yield from self._hold_again(assignment, job) if job else self._hold_new(assignment)
        yield from self._reached(self._sender.send)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Take hold of attempts whose jobs were submitted, or may have been."""
        self._ledger.read(assignment.run_root for assignment in assignments)
        for assignment in assignments:
            job = self._ledger.job_of(assignment.attempt_id)
            if job is None:
                note = "there is no record of its job: cancel the attempt, then retry"
                yield Sighting(attempt_id=assignment.attempt_id, state=AttemptState.UNKNOWN, note=note)
            else:
                yield from self._hold_again(assignment, job)

    def look(self) -> Iterator[Sighting]:
        """Send what waits, look at the queue when it is time, and bring home what ended."""
        if not self._pace.is_away:
            yield from self._reached(self._sender.send)
        if self._pace.is_due:
            yield from self._reached(self._watch)
        yield from self._heard()
        self._leave_notice()

    def cancel(self, attempts: Collection[str]) -> None:
        """Cancel the jobs of attempts; those that have none yet get none, or are cancelled once they are found."""
        for attempt_id in self._held.keys() & attempts:
            self._held[attempt_id].cancel()
        self._pace.hurry()
        with suppress(AwayError):
            cancel_unwanted(self._site, self._held.values())

    def close(self) -> None:
        """Let go of the site; jobs go on."""
        self._collector.close()
        self._site.let_go()

    def _hold_new(self, assignment: Assignment) -> Iterator[Sighting]:
        try:
            told = stage(assignment, texts_of(assignment))
            payload_of(assignment, Places(root="/"), self._backend)
            directives(demand_of(assignment, self._backend))
        except ScriptletError as error:
            yield not_begun(assignment, error.explained())
            return
        self._held[assignment.attempt_id] = Held(assignment=assignment, is_unwanted=bool(assignment.cancel_asked))
        yield Sighting(attempt_id=assignment.attempt_id, state=AttemptState.SUBMITTING, operator_data=told)

    def _hold_again(self, assignment: Assignment, job: Job) -> Iterator[Sighting]:
        held = Held(assignment=assignment, job=job, job_id=assignment.external_id, since=up_sec())
        held.first_job = self._ledger.first_of(assignment.attempt_id)
        held.earlier = list(assignment.jobs[: job.turn])
        held.is_unwanted = bool(assignment.cancel_asked)
        self._held[assignment.attempt_id] = held
        if assignment.external_id and job.turn == 0:
            held.stage = Stage.THERE
        else:
            yield from self._sender.look_for(held)

    def _watch(self) -> Iterator[Sighting]:
        """Look at the queue, and take what it and the site tell of the jobs."""
        if not any(held.stage in (Stage.UNKNOWN, Stage.THERE) for held in self._held.values()):
            self._pace.rest()
            return
        places = self._site.facts().places
        rows, at_sec = shown_by(self._site, not_before=self._pace.oldest)
        if rows is None:
            self._pace.wait_after(at_sec)
            return
        self._pace.looked()
        before, queued = self._standing(), self._queued()
        yield from self._sender.settle(rows, places)
        yield from see(self._held.values(), rows, at_sec)
        cancel_unwanted(self._site, self._held.values())
        yield from self._collector.collect(self._held.values(), places, frozenset(row.job_id for row in rows))
        self._sender.make_room(len(queued - self._queued()))
        self._pace.go_on(is_still=self._standing() == before)

    def _standing(self) -> list[object]:
        """Give what changes where there is news; that a job left the queue is some, though not yet told."""
        return [(held.told, held.absences > 0) for held in self._held.values()]

    def _queued(self) -> set[str]:
        return {attempt_id for attempt_id, held in self._held.items() if held.is_queued}

    def _reached(self, deed: Callable[[], Iterator[Sighting]]) -> Iterator[Sighting]:
        """Do what needs the site, and let go of attempts that ended; where it is away, tell so of what waits for it."""
        try:
            for sighting in deed():
                if sighting.done is not None or sighting.state is AttemptState.FAILED_INIT:
                    del self._held[sighting.attempt_id]
                yield sighting
            self._trouble, self._is_final = "", False
        except AwayError as error:
            wait_sec = min(_TRY_AGAIN_SEC, self._backend.poll_every) if error.again_sec is None else error.again_sec
            self._trouble = f"{error}; {self._try_login}" if math.isinf(wait_sec) else str(error)
            self._is_final = error.is_final
            self._sender.miss_answers()
            self._pace.stay_away(wait_sec)
            yield from self._told_of_trouble()

    @property
    def _try_login(self) -> str:
        """Say how to see whether the site lets anybody in."""
        key = next((held.assignment.operator_key for held in self._held.values()), "KEY")
        return f"try it with: matterstack operators login {key}, then resume the run"

    def _told_of_trouble(self) -> Iterator[Sighting]:
        for held in self._held.values():
            if held.stage in (Stage.FRESH, Stage.SENDING):
                yield from held.news(AttemptState.SUBMITTING, self._trouble)
            elif held.stage is Stage.UNKNOWN:
                yield from held.news(AttemptState.UNKNOWN, self._trouble)
            elif held.told is not None:
                yield from held.news(held.told[0], self._trouble)

    def _heard(self) -> Iterator[Sighting]:
        """Let people hear of a site that is away, or is reached again, by way of one of the attempts that wait."""
        held = next(iter(self._held.values()), None)
        if held is None:
            self._outage = Outage()
        elif remark := self._remark(held.assignment):
            state = held.told[0] if held.told else AttemptState.UNKNOWN
            yield Sighting(attempt_id=held.assignment.attempt_id, state=state, remark=remark)

    def _remark(self, first: Assignment) -> Remark | None:
        key, looked_at, more = first.operator_key, self._pace.looked_at, len(self._held) - 1
        if not self._trouble:
            again = Remark(text=f"{key}: {self._site.name} is reached again", todo="what waited for it goes on")
            return again if self._outage.is_over(looked_at) else None
        waits = f"{first.task_id} and {more} more wait" if more else f"{first.task_id} waits"
        until = f"until then, {waits}" if self._is_final else f"{waits}; it is tried again by itself"
        is_news = self._outage.is_news(up_sec(), looked_at=looked_at, is_final=self._is_final)
        return Remark(text=f"{key}: {self._trouble}", todo=until) if is_news else None

    def _leave_notice(self) -> None:
        """Let those who look at the run see what was seen of the site, where that is new."""
        pace = self._pace
        again = tuple(held.again for held in self._held.values())
        now = (pace.looked_at, self._trouble, pace.next_at if self._trouble else 0.0, again)
        if now == self._noticed or not self._held:
            return
        self._noticed = now
        assignment = next(iter(self._held.values())).assignment
        notice = Notice(
            site=self._site.name,
            looked_at=utc_after(pace.looked_at - up_sec()) if pace.looked_at else "",
            next_at="" if math.isinf(pace.next_at) else utc_after(pace.next_at - up_sec()),
            trouble=self._trouble,
            jobs={attempt_id: held.seen for attempt_id, held in self._held.items() if held.word or held.again},
        )
        leave(assignment.run_root, assignment.operator_key, notice)
